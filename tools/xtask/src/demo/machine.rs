//! The Linux machine that the demo mounts in: this one, where its kernel has an NFS client and this is root; otherwise
//! one that the rig boots.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use linux_client::{Client, Network};

use super::CHANGE_LIMIT;
use crate::coffer::Coffer;
use crate::house::{House, Profile, output};

/// Where the file system is mounted.
pub(crate) const AT: &str = "/mnt/coffer-demo";

pub(crate) struct Machine {
    /// The rig's client; none means this machine.
    client: Option<Client>,
    /// What goes before each script.
    prelude: String,
}

impl Machine {
    /// Chooses the machine and gives it the helper's configuration.
    pub(crate) fn open(house: &House, place: &Path, network: &Network, coffer: &Coffer) -> Result<Self, String> {
        // The helper's files lie below a directory of the demo's own, so that a machine with a configuration keeps it.
        let root = place.join("client");
        let conf = root.join("etc/amazon/efs");
        fs::create_dir_all(&conf).map_err(|error| format!("{}: {error}", conf.display()))?;
        let path = conf.join("efs-utils.conf");
        fs::write(&path, configuration(coffer)).map_err(|error| format!("{}: {error}", path.display()))?;
        let helper = house.program(Profile::Release, "mount-efs");
        let bin = root.join("bin");
        fs::create_dir_all(&bin).map_err(|error| format!("{}: {error}", bin.display()))?;
        for name in ["mount.efs", "efs-tunnel", "amazon-efs-mount-watchdog"] {
            std::os::unix::fs::symlink(&helper, bin.join(name)).map_err(|error| format!("{name}: {error}"))?;
        }
        let prelude = format!(
            "export EFS_UTILS_ROOT='{}' PATH='{}':$PATH AWS_SHARED_CREDENTIALS_FILE='{}'\n",
            root.display(),
            bin.display(),
            place.join("aws-profile").display()
        );
        if own_client() {
            return Ok(Self { client: None, prelude });
        }
        let mut machine =
            linux_client::Machine::new(&place.join("scratch"), house.program(Profile::Release, "linux-client"))
                .map_err(|error| error.to_string())?;
        machine.print = false;
        machine.mount_helper = Some(helper);
        // The helper's root must be writable for the client too: it is inside what both share.
        machine.scratch = place.canonicalize().map_err(|error| error.to_string())?;
        let client = network.boot(0, "client", &machine).map_err(|error| error.to_string())?;
        client.check(&coffer.hosts_script()?).map_err(|error| error.to_string())?;
        Ok(Self { client: Some(client), prelude })
    }

    /// What kind of machine it is.
    pub(crate) fn describe(&self) -> String {
        match &self.client {
            None => "in this machine's own NFS client".to_owned(),
            Some(client) => format!(
                "this kernel has no NFS client, so in a Linux 6.1 kernel as a process (up in {:.1} s)",
                client.boot_time().as_secs_f64()
            ),
        }
    }

    /// Runs a bash script on it.
    pub(crate) fn run(&self, script: &str) -> Result<String, String> {
        let script = format!("{}{script}", self.prelude);
        match &self.client {
            Some(client) => client.check(&script).map_err(|error| error.to_string()),
            None => output(Command::new("bash").arg("-c").arg(script)),
        }
    }

    /// Runs a script of `tests/linux`.
    pub(crate) fn script(&self, house: &House, name: &str, arguments: &[&str]) -> Result<String, String> {
        let path = house.root.join("tests/linux").join(name);
        let arguments: String = arguments.iter().map(|argument| format!(" '{argument}'")).collect();
        self.run(&format!("bash '{}'{arguments}", path.display()))
    }

    /// Mounts over TLS; gives the line of the mount table.
    pub(crate) fn mount(&self, id: &str) -> Result<String, String> {
        let command = format!("mount.efs {id}:/ {AT} -o tls");
        println!("  $ {command}");
        self.run(&format!("mkdir -p {AT} && {command} && grep ' {AT} ' /proc/mounts"))
    }

    /// Tries to read a file past the cache until it succeeds, or until it fails; says how long that took.
    pub(crate) fn until_read(&self, file: &str, succeeds: bool) -> Result<Duration, String> {
        let start = Instant::now();
        let test = format!(
            "echo 3 > /proc/sys/vm/drop_caches; timeout 30 cat '{file}' > /dev/null 2>&1 && echo read || echo refused"
        );
        loop {
            if (self.run(&test)?.trim() == "read") == succeeds {
                return Ok(start.elapsed());
            }
            if start.elapsed() > CHANGE_LIMIT {
                let what = if succeeds { "still refused" } else { "still served" };
                return Err(format!("{what} after {} s", CHANGE_LIMIT.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Unmounts and goes away.
    pub(crate) fn close(self) -> Result<(), String> {
        self.run(&format!("umount {AT}")).map(drop)
    }

    /// How to mount it again by hand.
    pub(crate) fn by_hand(house: &House, place: &Path, id: &str) -> String {
        let root = place.join("client");
        let (root_text, profile) = (root.display(), place.join("aws-profile"));
        let settings = format!("EFS_UTILS_ROOT={root_text} AWS_SHARED_CREDENTIALS_FILE={}", profile.display());
        let mount = format!("mkdir -p {AT} && {settings} mount.efs {id}:/ {AT} -o tls");
        if own_client() {
            return format!("{mount}   # with {} in PATH", root.join("bin").display());
        }
        format!(
            "{} run --scratch {} --mount-helper {} '{mount} && ls -l {AT}'   # as root",
            house.program(Profile::Release, "linux-client").display(),
            place.display(),
            house.program(Profile::Release, "mount-efs").display()
        )
    }
}

/// Ends the watchdog and then the tunnels of one EFS_UTILS_ROOT.
const END: &str = "
for part in amazon-efs-mount-watchdog efs-tunnel; do
  for process in /proc/[0-9]*; do
    if grep -qszxF \"EFS_UTILS_ROOT=$EFS_UTILS_ROOT\" $process/environ && grep -qszxF $part $process/cmdline; then
      kill ${process#/proc/}
    fi
  done
done";

impl Drop for Machine {
    /// A rig's client takes everything with it. On this machine a mount must not outlive its server, since whoever looks
    /// at it hangs, and the watchdog must not outlive its directory, which the next demo deletes.
    fn drop(&mut self) {
        if self.client.is_none() {
            let _not_mounted = self.run(&format!("umount -f -l {AT}"));
            let _ = self.run(END);
        }
    }
}

fn configuration(coffer: &Coffer) -> String {
    format!(
        "[DEFAULT]\nlogging_level = INFO\n[mount]\ndns_name_suffix = coffer.internal\nregion = us-east-1\n\
         stunnel_cafile = {}\nendpoint_url = {}\n[mount-watchdog]\nenabled = true\n",
        coffer.ca().display(),
        coffer.endpoint()
    )
}

/// Whether this machine can mount NFS itself.
fn own_client() -> bool {
    let _ = output(Command::new("modprobe").arg("nfsv4"));
    fs::read_to_string("/proc/filesystems").is_ok_and(|all| all.lines().any(|line| line.ends_with("nfs4")))
}
