//! A Coffer server of its own for one run: initialised, started, stopped, killed, started again.

use std::fs;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use linux_client::Network;

use crate::api::{Api, SUBNET};
use crate::house::{House, Profile, output};

const NFS_PORT: u16 = 2049;
const START_LIMIT: Duration = Duration::from_secs(60);

/// What is set apart from the defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The NFS lease, and with it the grace after a restart.
    pub(crate) lease_seconds: i64,
    /// How long an unwrapped data key lives.
    pub(crate) key_lease_seconds: i64,
    /// When a file system that nobody uses is closed.
    pub(crate) idle_close_seconds: i64,
}

/// So many parts of loopback were given to servers of this process.
static PARTS: AtomicU32 = AtomicU32::new(0);

/// More calls than a machine can make.
const CALLS_A_SECOND: f64 = 1_000_000.0;

impl Default for Settings {
    fn default() -> Self {
        Self { lease_seconds: 60, key_lease_seconds: 60, idle_close_seconds: 300 }
    }
}

/// A server and its files. It ends with the value.
#[derive(Debug)]
pub(crate) struct Coffer {
    program: PathBuf,
    place: PathBuf,
    process: Option<Child>,
    api: SocketAddr,
    /// Whether it ends with the program that started it.
    tied: bool,
    /// Programs that run it while they watch it, with their arguments; they leave it its process.
    under: Vec<String>,
}

impl Coffer {
    /// Initialises a server below `place`, whose mount targets lie in the network's subnet and whose API is on the
    /// network's own address, so that clients reach both.
    pub(crate) fn init(
        house: &House,
        profile: Profile,
        place: &Path,
        network: &Network,
        settings: Settings,
    ) -> Result<Self, String> {
        let program = house.program(profile, "coffer");
        let api = SocketAddr::new(IpAddr::V4(network.host()), 4566);
        let coffer = Self { program, place: place.to_owned(), process: None, api, tied: true, under: Vec::new() };
        coffer.initialise()?;
        coffer.configure(SUBNET, "vpc-c0ffe200", &network.subnet(), settings)?;
        Ok(coffer)
    }

    /// A server as `coffer init` makes it, on a free port of loopback, running.
    pub(crate) fn on_loopback(house: &House, profile: Profile, place: &Path) -> Result<Self, String> {
        let mut coffer = Self::of_loopback(house, profile, place)?;
        // A part of loopback of its own, so that servers side by side do not take each other's addresses.
        let part = std::process::id().wrapping_add(PARTS.fetch_add(1, Ordering::Relaxed) << 8);
        let [high, low] = [(part >> 8) & 0xff, part & 0xff];
        coffer.configure(
            "subnet-00000000",
            "vpc-00000000",
            &format!("127.{}.{low}.0/24", 128 + high % 100),
            Settings::default(),
        )?;
        coffer.start()?;
        Ok(coffer)
    }

    /// The same with addresses for thousands of mount targets, in the subnet that file systems of a run get theirs of, and under
    /// programs that watch it.
    pub(crate) fn with_many_addresses(
        house: &House,
        profile: Profile,
        place: &Path,
        settings: Settings,
        under: &[String],
    ) -> Result<Self, String> {
        let mut coffer = Self::of_loopback(house, profile, place)?;
        coffer.under = under.to_vec();
        // A part of loopback where no other run has the first mount target's address.
        let mut parts = (0..20).map(|nth| 228 + u8::try_from((std::process::id() + nth) % 20).unwrap_or(0));
        let part = parts.find(|part| TcpListener::bind((Ipv4Addr::new(127, *part, 0, 4), NFS_PORT)).is_ok());
        let cidr = format!("127.{}.0.0/16", part.ok_or("every part of loopback has a server")?);
        coffer.configure(SUBNET, "vpc-c0ffe200", &cidr, settings)?;
        coffer.start()?;
        Ok(coffer)
    }

    /// A server of another region and account, on a free port of loopback, running; nobody mounts from it.
    pub(crate) fn elsewhere(
        house: &House,
        profile: Profile,
        place: &Path,
        region: &str,
        account: &str,
    ) -> Result<Self, String> {
        let mut coffer = Self::unmade(house, profile, place)?;
        coffer.initialise_at(region, account)?;
        coffer.start()?;
        Ok(coffer)
    }

    fn of_loopback(house: &House, profile: Profile, place: &Path) -> Result<Self, String> {
        let coffer = Self::unmade(house, profile, place)?;
        coffer.initialise()?;
        Ok(coffer)
    }

    fn unmade(house: &House, profile: Profile, place: &Path) -> Result<Self, String> {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let api = free.map_err(|error| format!("no free port: {error}"))?;
        let program = house.program(profile, "coffer");
        Ok(Self { program, place: place.to_owned(), process: None, api, tied: true, under: Vec::new() })
    }

    fn initialise(&self) -> Result<(), String> {
        self.initialise_at("us-east-1", "000000000001")
    }

    fn initialise_at(&self, region: &str, account: &str) -> Result<(), String> {
        let mut init = self.command("init");
        init.arg("--data").arg(self.data()).arg("--keys").arg(self.place.join("keys"));
        init.args(["--region", region, "--account", account, "--api-listen", &self.api.to_string()]);
        output(&mut init).map(drop)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.place.join("data")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.place.join("coffer.toml")
    }

    /// The CA that its servers' certificates come from.
    pub(crate) fn ca(&self) -> PathBuf {
        self.place.join("ca.pem")
    }

    /// The program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Where its API listens.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.api)
    }

    /// What it logged.
    pub(crate) fn log(&self) -> PathBuf {
        self.place.join("server.log")
    }

    /// The directory of this run.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Its process, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// The API with root's credentials.
    pub(crate) fn api(&self) -> Result<Api, String> {
        Api::from_profile(&self.place.join("aws-profile"), self.api)
    }

    /// Starts it and waits until it answers.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(|error| format!("the server's log: {error}"))?;
        let errors = log.try_clone().map_err(|error| format!("the server's log: {error}"))?;
        if TcpListener::bind(self.api).is_err() {
            return Err(format!("another program listens on {}", self.api));
        }
        let mut serve = self.command("serve");
        if self.tied {
            // Should this program be killed, the server goes too.
            serve = Command::new("setpriv");
            serve
                .args(["--pdeathsig", "KILL"])
                .args(&self.under)
                .arg(&self.program)
                .arg("serve")
                .arg("--config")
                .arg(self.config());
        }
        serve.stdin(Stdio::null()).stdout(log).stderr(errors);
        self.process = Some(serve.spawn().map_err(|error| format!("{}: {error}", self.program.display()))?);
        let start = Instant::now();
        loop {
            if Api::is_healthy(self.api) {
                return Ok(());
            }
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if let Some(status) = ended {
                self.process = None;
                return Err(format!("the server ended ({status}): {}", self.last_words()));
            }
            if start.elapsed() > START_LIMIT {
                return Err(format!(
                    "the server does not answer after {} s: {}",
                    START_LIMIT.as_secs(),
                    self.last_words()
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Ends it as an operator would, and waits.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        output(Command::new("kill").args(["-TERM", &process.id().to_string()]))?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(30) {
            match process.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(50)),
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the server ended with {status}: {}", self.last_words())),
                Err(error) => return Err(format!("the server: {error}")),
            }
        }
        let _ = process.kill();
        let _ = process.wait();
        Err("the server did not stop within 30 s of SIGTERM".to_owned())
    }

    /// From the next start on it runs under these programs, which leave it its process.
    pub(crate) fn run_under(&mut self, programs: Vec<String>) {
        self.under = programs;
    }

    /// Lets it outlive the program that starts it.
    pub(crate) fn untie(&mut self) {
        self.tied = false;
    }

    /// Leaves it running when this value goes away; gives its process.
    pub(crate) fn leave(&mut self) -> Option<u32> {
        self.process.take().map(|process| process.id())
    }

    /// A moment in the log, for [`Coffer::logged_since`].
    pub(crate) fn log_mark(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |log| log.len())
    }

    /// What was logged since a moment.
    pub(crate) fn logged_since(&self, mark: u64) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        let fresh = usize::try_from(mark).ok().and_then(|mark| bytes.get(mark..)).unwrap_or_default();
        String::from_utf8_lossy(fresh).into_owned()
    }

    /// Fails unless both `coffer status` and the log since `mark` say that the file system is sealed, by which key and
    /// why: `reason` is a part of the sentence.
    pub(crate) fn expect_sealed(&self, mark: u64, id: &str, key: &str, reason: &str) -> Result<(), String> {
        let status = self.administer(&["status"])?;
        let says_so = |line: &str| line.contains(key) && line.contains(reason);
        let head = format!("{id}: sealed: ");
        if !status.lines().any(|line| line.starts_with(&head) && says_so(line)) {
            return Err(format!("coffer status has no line {head:?} with {key:?} and {reason:?}:\n{status}"));
        }
        let log = self.logged_since(mark);
        if !log.lines().any(|line| line.contains("sealed") && line.contains(id) && says_so(line)) {
            return Err(format!("the log does not say that {id} is sealed, with {key:?} and {reason:?}:\n{log}"));
        }
        Ok(())
    }

    /// Fails unless `coffer status` shows the file system as open and has no word of a seal.
    pub(crate) fn expect_open(&self, id: &str) -> Result<(), String> {
        let status = self.administer(&["status"])?;
        let row = status.lines().find(|line| line.starts_with(&format!("{id} "))).unwrap_or_default();
        if !row.split_whitespace().any(|word| word == "open") || status.contains(&format!("{id}: ")) {
            return Err(format!("coffer status does not show {id} as open:\n{status}"));
        }
        Ok(())
    }

    /// Runs one of its administration commands.
    pub(crate) fn administer(&self, arguments: &[&str]) -> Result<String, String> {
        output(Command::new(&self.program).args(arguments).arg("--config").arg(self.config()))
    }

    /// A script that gives a machine the names of the mount targets, in the place of those that it was given before.
    pub(crate) fn hosts_script(&self) -> Result<String, String> {
        let hosts = self.administer(&["hosts"])?;
        Ok(format!(
            "sed -i '/^# mount targets/,/^# end of mount targets/d' /etc/hosts
cat >> /etc/hosts <<'HOSTS'\n# mount targets\n{hosts}# end of mount targets\nHOSTS\n"
        ))
    }

    /// Checks everything offline; the server must not run.
    pub(crate) fn fsck(&self) -> Result<String, String> {
        self.administer(&["fsck"])
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name).arg("--config").arg(self.config());
        command
    }

    fn configure(&self, subnet: &str, vpc: &str, cidr: &str, settings: Settings) -> Result<(), String> {
        let subnet = [
            ("id", subnet.to_owned()),
            ("vpc", vpc.to_owned()),
            ("zone", "us-east-1a".to_owned()),
            ("zone_id", "use1-az1".to_owned()),
            ("cidr", cidr.to_owned()),
        ];
        let subnet: toml::Table =
            subnet.map(|(key, value)| (key.to_owned(), toml::Value::String(value))).into_iter().collect();
        let times = [
            ("nfs", "lease_seconds", settings.lease_seconds),
            ("nfs", "idle_close_seconds", settings.idle_close_seconds),
            ("keys", "lease_seconds", settings.key_lease_seconds),
        ];
        self.edit(|table| {
            table.insert("subnet".to_owned(), toml::Value::Array(vec![toml::Value::Table(subnet)]));
            for (section, key, seconds) in times {
                let section = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let toml::Value::Table(section) = section {
                    section.insert(key.to_owned(), toml::Value::Integer(seconds));
                }
            }
        })
    }

    /// Lets an account call these classes of the API as often as is allowed at all: for measuring, and from the next start on.
    pub(crate) fn lift_rates(&self, classes: &[&str]) -> Result<(), String> {
        let rates: toml::Table =
            classes.iter().map(|class| ((*class).to_owned(), toml::Value::Float(CALLS_A_SECOND))).collect();
        let limits = toml::Table::from_iter([("requests_per_second".to_owned(), toml::Value::Table(rates))]);
        self.edit(|table| _ = table.insert("limits".to_owned(), toml::Value::Table(limits)))
    }

    /// Changes its configuration, from the next start on.
    fn edit(&self, change: impl FnOnce(&mut toml::Table)) -> Result<(), String> {
        let path = self.config();
        let failed = |error: String| format!("{}: {error}", path.display());
        let text = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
        change(&mut table);
        fs::write(&path, table.to_string()).map_err(|error| failed(error.to_string()))
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let tail: Vec<_> = text.lines().rev().take(6).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n    ")
    }
}

impl Drop for Coffer {
    fn drop(&mut self) {
        self.kill();
    }
}
