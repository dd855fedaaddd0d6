//! A server and one or two real Linux clients on a network of their own: where every real-client test plays.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use linux_client::{Client, Machine, Network, Running};

use crate::coffer::{Coffer, Settings};
use crate::ganesha::Ganesha;
use crate::house::{House, Profile};

/// Which server plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// A known-good server, to prove the tests themselves.
    Ganesha,
    /// Any server that is running at this address and serves one tree.
    Other(Ipv4Addr),
    /// Ours.
    Coffer,
}

#[derive(Debug)]
pub(crate) enum Server {
    Ganesha { _process: Ganesha },
    Other(Ipv4Addr),
    Coffer(Box<Coffer>),
}

/// How a mount is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mount<'a> {
    /// The file system; none where the server has only one tree.
    pub(crate) file_system: &'a str,
    /// The access point.
    pub(crate) access_point: Option<&'a str>,
    /// Without TLS.
    pub(crate) clear: bool,
    /// The mount is given up after so long.
    pub(crate) limit_seconds: Option<u32>,
}

/// The fields go away in this order: clients, server, network.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) clients: Vec<Client>,
    pub(crate) server: Server,
    pub(crate) network: Network,
    pub(crate) place: PathBuf,
    house: House,
    loadgen: PathBuf,
}

/// What is asked of a stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) cast: Cast,
    pub(crate) profile: Profile,
    pub(crate) clients: usize,
    pub(crate) settings: Settings,
    pub(crate) print: bool,
    /// How long one script may take.
    pub(crate) time_limit: Duration,
    /// Each client's memory.
    pub(crate) memory_mib: u32,
}

impl Stage {
    /// Starts the server and boots the clients.
    pub(crate) fn open(house: &House, name: &str, plan: Plan) -> Result<Self, String> {
        let place = house.fresh(name)?;
        let network = Network::new(plan.clients).map_err(|error| error.to_string())?;
        let mut machine = Machine::new(&place.join("scratch"), house.program(plan.profile, "linux-client"))
            .map_err(|error| error.to_string())?;
        (machine.print, machine.time_limit, machine.memory_mib) = (plan.print, plan.time_limit, plan.memory_mib);
        if plan.cast == Cast::Coffer {
            machine.mount_helper = Some(house.program(plan.profile, "mount-efs"));
        }
        // The server starts while the clients boot.
        let (server, clients) = thread::scope(|scope| {
            let booting: Vec<_> = (0..plan.clients)
                .map(|nth| {
                    let (network, machine) = (&network, &machine);
                    let name = char::from(b'a' + u8::try_from(nth).unwrap_or(0)).to_string();
                    scope.spawn(move || network.boot(nth, &name, machine).map_err(|error| error.to_string()))
                })
                .collect();
            let server = serve(house, &place, &network, plan);
            let joined = |boot: thread::ScopedJoinHandle<'_, Result<Client, String>>| {
                boot.join().unwrap_or_else(|_| Err("a boot panicked".to_owned()))
            };
            (server, booting.into_iter().map(joined).collect::<Result<Vec<_>, _>>())
        });
        let loadgen = house.program(plan.profile, "loadgen");
        let stage = Self { clients: clients?, server: server?, network, place, house: house.clone(), loadgen };
        if let Server::Coffer(coffer) = &stage.server {
            (0..plan.clients).try_for_each(|nth| stage.configure(nth, coffer))?;
        }
        Ok(stage)
    }

    /// The nth client.
    pub(crate) fn client(&self, nth: usize) -> Result<&Client, String> {
        self.clients.get(nth).ok_or_else(|| format!("this stage has no client {nth}"))
    }

    /// Our server; an error on a stage of the other one.
    pub(crate) fn coffer(&mut self) -> Result<&mut Coffer, String> {
        match &mut self.server {
            Server::Coffer(coffer) => Ok(coffer),
            Server::Ganesha { .. } | Server::Other(_) => Err("this needs Coffer".to_owned()),
        }
    }

    /// Where everything of this run is.
    pub(crate) fn house(&self) -> &House {
        &self.house
    }

    /// The project's directory.
    pub(crate) fn root(&self) -> &Path {
        &self.house.root
    }

    /// Where the programs are that this stage runs.
    pub(crate) fn programs(&self) -> PathBuf {
        self.loadgen.parent().unwrap_or(&self.loadgen).to_owned()
    }

    /// A directory that the clients and this machine share.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.place.join("scratch")
    }

    /// Runs a script inside; a status other than 0 is an error. `$LOADGEN`, `$SCRATCH` and `$SERVER` are set.
    pub(crate) fn check(&self, client: usize, script: &str) -> Result<String, String> {
        self.client(client)?.check(&self.with_names(script)).map_err(|error| error.to_string())
    }

    /// Starts a script inside and goes on.
    pub(crate) fn spawn(&self, client: usize, script: &str) -> Result<Running, String> {
        self.client(client)?.spawn(&self.with_names(script)).map_err(|error| error.to_string())
    }

    /// Waits for a script that was started; a status other than 0 is an error.
    pub(crate) fn join(&self, client: usize, what: &str, running: Running) -> Result<String, String> {
        let finished = running.wait().map_err(|error| error.to_string())?;
        self.client(client)?.expect(what, finished).map_err(|error| error.to_string())
    }

    /// A script of `tests/linux`, with its arguments.
    pub(crate) fn script(&self, name: &str, arguments: &[&str]) -> String {
        let path = self.house.root.join("tests/linux").join(name);
        let arguments: String = arguments.iter().map(|argument| format!(" '{argument}'")).collect();
        format!("bash '{}'{arguments}", path.display())
    }

    /// Runs the two roles of a script in two clients at once.
    pub(crate) fn both(&self, name: &str, roles: [&str; 2], directory: &str) -> Result<String, String> {
        let meet = self.scratch().join(format!("meet-{name}"));
        fs::create_dir_all(&meet).map_err(|error| format!("{}: {error}", meet.display()))?;
        let meet = meet.display().to_string();
        let scripts = roles.map(|role| self.script(name, &[role, directory, &meet]));
        let [first, second] = &scripts;
        let (one, two) = (self.spawn(0, first)?, self.spawn(1, second)?);
        while !one.is_finished() && !two.is_finished() {
            thread::sleep(Duration::from_millis(50));
        }
        // Whoever waits for one that has failed waits in vain.
        if one.is_finished() {
            let said = self.join(0, first, one);
            if said.is_err() {
                two.stop();
                return said;
            }
            return Ok(said? + &self.join(1, second, two)?);
        }
        let said = self.join(1, second, two);
        if said.is_err() {
            one.stop();
            return said;
        }
        Ok(self.join(0, first, one)? + &said?)
    }

    /// Gives a client the names of all mount targets, as `coffer hosts` tells them right now.
    pub(crate) fn tell_names(&self, client: usize) -> Result<(), String> {
        let Server::Coffer(coffer) = &self.server else { return Ok(()) };
        self.check(client, &coffer.hosts_script()?).map(drop)
    }

    /// Mounts at a directory that is made for it.
    pub(crate) fn mount(&self, client: usize, at: &str, mount: &Mount<'_>) -> Result<(), String> {
        self.tell_names(client)?;
        let command = match &self.server {
            Server::Ganesha { .. } => format!("mount -t nfs4 -o vers=4.1 {}:/ {at}", self.network.target(0)),
            Server::Other(address) => format!("mount -t nfs4 -o vers=4.1 {address}:/ {at}"),
            Server::Coffer(_) => {
                let mut options: Vec<String> = Vec::new();
                if !mount.clear {
                    options.push("tls".to_owned());
                }
                options.extend(mount.access_point.map(|id| format!("accesspoint={id}")));
                let options = if options.is_empty() { String::new() } else { format!("-o {}", options.join(",")) };
                format!("mount -t efs {options} {}:/ {at}", mount.file_system)
            }
        };
        let limit = mount.limit_seconds.map_or_else(String::new, |limit| format!("timeout -s KILL {limit} "));
        self.check(client, &format!("mkdir -p {at} && {limit}{command} && grep ' {at} nfs4 ' /proc/mounts")).map(drop)
    }

    fn with_names(&self, script: &str) -> String {
        let server = match self.server {
            Server::Ganesha { .. } => "ganesha",
            Server::Other(_) => "other",
            Server::Coffer(_) => "coffer",
        };
        let (loadgen, scratch) = (self.loadgen.display(), self.scratch());
        format!("export LOADGEN='{loadgen}' SCRATCH='{}' SERVER={server}\n{script}", scratch.display())
    }

    /// What a user's machine has: the helper's configuration. (The servers' names come with the first mount.)
    fn configure(&self, client: usize, coffer: &Coffer) -> Result<(), String> {
        let script = format!(
            "set -e
mkdir -p /etc/amazon/efs /var/log/amazon/efs /var/run/efs
cat > /etc/amazon/efs/efs-utils.conf <<'CONF'
[DEFAULT]
logging_level = INFO
[mount]
dns_name_format = {{az}}.{{fs_id}}.efs.{{region}}.{{dns_name_suffix}}
dns_name_suffix = coffer.internal
region = us-east-1
stunnel_cafile = {ca}
stunnel_check_cert_hostname = true
endpoint_url = {endpoint}
fall_back_to_mount_target_ip_address_enabled = true
[mount-watchdog]
enabled = true
CONF
mkdir -p /root/.aws
cp {profile} /root/.aws/credentials
printf '[default]\\nregion = us-east-1\\nendpoint_url = {endpoint}\\n' > /root/.aws/config
",
            ca = coffer.ca().display(),
            endpoint = coffer.endpoint(),
            profile = coffer.place().join("aws-profile").display(),
        );
        self.check(client, &script).map(drop)
    }
}

fn serve(house: &House, place: &Path, network: &Network, plan: Plan) -> Result<Server, String> {
    match plan.cast {
        Cast::Other(address) => Ok(Server::Other(address)),
        Cast::Ganesha => {
            Ganesha::start(place, network.target(0).into()).map(|process| Server::Ganesha { _process: process })
        }
        Cast::Coffer => {
            let mut coffer = Coffer::init(house, plan.profile, place, network, plan.settings)?;
            coffer.start()?;
            Ok(Server::Coffer(Box::new(coffer)))
        }
    }
}
