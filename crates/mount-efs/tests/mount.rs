//! The installed programs from the outside: a scratch root plays the system, a script plays mount.nfs4, a file plays the
//! kernel's mount table, and a TLS echo plays the mount target.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and wait"
)]

#[path = "../../client/tests/server/mod.rs"]
mod server;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use server::{Authority, Manner, Server};

const FILE_SYSTEM: &str = "fs-0123456789abcdef0";
const NAME: &str = "fs-0123456789abcdef0.efs.us-east-1.coffer.test";

/// A stand-in for mount.nfs4: it notes its arguments, and its mount shows in the table.
const MOUNTS: &str = "port=$(echo \"$4\" | sed 's/.*port=//;s/,.*//')\n\
    echo \"40 21 0:52 / $2 rw - nfs4 127.0.0.1:/ rw,port=$port,addr=127.0.0.1\" >> $root/proc/self/mountinfo\n";

/// What comes at once on a calm machine may take long on a busy one.
const PATIENCE: Duration = Duration::from_secs(60);

struct System {
    root: tempfile::TempDir,
    /// As a user's: the server's address and CA.
    server: Server,
    authority: Authority,
}

impl System {
    fn new(mount_script: &str, extra: &str) -> Self {
        let authority = Authority::new();
        let server = Server::start(&authority, NAME, Manner::Echo);
        let root = tempfile::tempdir().unwrap();
        let system = Self { root, server, authority };
        for directory in ["etc/amazon/efs", "sbin", "proc/self", "proc/1", "mnt"] {
            fs::create_dir_all(system.path(directory)).unwrap();
        }
        fs::write(system.path("proc/1/comm"), "bash\n").unwrap();
        fs::write(system.path("proc/self/mountinfo"), "").unwrap();
        fs::write(system.path("etc/amazon/efs/efs-utils.crt"), system.authority.bundle()).unwrap();
        let config = format!(
            "[DEFAULT]\nlogging_level = DEBUG\n[mount]\nregion = us-east-1\ndns_name_suffix = coffer.test\n\
             mount_target_port = {}\n{extra}\n[mount-watchdog]\nunmount_count_for_consistency = 1\n\
             unmount_grace_period_sec = 1\n",
            system.server.address.port()
        );
        fs::write(system.path("etc/amazon/efs/efs-utils.conf"), config).unwrap();
        let script =
            format!("#!/bin/bash\nroot={}\necho \"$@\" >> $root/calls\n{mount_script}\n", system.root.path().display());
        fs::write(system.path("sbin/mount.nfs4"), script).unwrap();
        fs::set_permissions(system.path("sbin/mount.nfs4"), fs::Permissions::from_mode(0o755)).unwrap();
        system
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mount-efs"));
        let _ = command.env_clear().env("EFS_UTILS_ROOT", self.root.path()).env("PATH", "/usr/bin:/bin");
        let _ = command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", self.root.path());
        command
    }

    fn mount(&self, device: &str, options: &str) -> Output {
        self.command().args([device, "/mnt/efs", "-o", options]).output().unwrap()
    }

    /// A mount that works.
    fn mounted(&self) -> Mounted {
        let output = self.mount(&format!("{FILE_SYSTEM}:/"), "rw,tls,mounttargetip=127.0.0.1");
        assert!(output.status.success(), "{} {}", text(&output.stderr), self.log("mount.log"));
        self.state().unwrap()
    }

    fn state(&self) -> Option<Mounted> {
        let entries = fs::read_dir(self.path("var/run/efs")).ok()?.flatten();
        let name = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .find(|name| name.starts_with("fs-") && !name.ends_with('+'))?;
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(self.path("var/run/efs").join(&name)).unwrap()).ok()?;
        Some(Mounted { port: name.rsplit('.').next()?.parse().ok()?, pid: json["pid"].as_i64()?, name, json })
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path("var/log/amazon/efs").join(name)).unwrap_or_default()
    }

    /// Processes of this root: what mount.efs left running.
    fn processes(&self, word: &str) -> Vec<i64> {
        let root = format!("EFS_UTILS_ROOT={}", self.root.path().display());
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i64>().ok());
        let has = |pid: i64, file: &str, wanted: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            bytes.split(|byte| *byte == 0).any(|part| part == wanted.as_bytes())
        };
        pids.filter(|pid| has(*pid, "environ", &root) && (word.is_empty() || has(*pid, "cmdline", word))).collect()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for pid in self.processes("") {
            kill(pid);
        }
    }
}

struct Mounted {
    name: String,
    port: u16,
    pid: i64,
    json: serde_json::Value,
}

fn kill(pid: i64) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).output().unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn until(what: &str, limit: Duration, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn echoes(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut back = [0; 4];
    socket.write_all(b"ping").is_ok() && socket.read_exact(&mut back).is_ok() && &back == b"ping"
}

/// aws/efs-utils, a TLS mount: the command, the log line, the state file, the tunnel, the watchdog.
#[test]
fn a_tls_mount_leaves_what_efs_utils_leaves() {
    let system = System::new(MOUNTS, "");
    let mounted = system.mounted();
    let port = mounted.port;
    assert_eq!(mounted.name, format!("{FILE_SYSTEM}.mnt.efs.{port}"));
    assert!((20_049..21_049).contains(&port));
    let calls = fs::read_to_string(system.path("calls")).unwrap();
    let options = format!("rw,nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,port={port}");
    assert_eq!(calls, format!("127.0.0.1:/ /mnt/efs -o {options}\n"));
    let line = format!(" UTC - INFO - Successfully mounted {NAME} at /mnt/efs\n");
    assert!(system.log("mount.log").contains(&line), "{}", system.log("mount.log"));
    let json = &mounted.json;
    assert_eq!((json["fsId"].as_str(), json["mountpoint"].as_str()), (Some(FILE_SYSTEM), Some("/mnt/efs")));
    assert_eq!(json["service_type"].as_str(), Some("elasticfilesystem"));
    assert!(json.get("mountHelperPid").is_none());
    assert!(!system.path(&format!("var/run/efs/~{}", mounted.name)).exists());
    assert!(system.path(&format!("var/run/efs/stunnel-config.{}", mounted.name)).exists());
    assert!(system.path(&format!("var/run/efs/{}+/certificate.der", mounted.name)).exists());
    assert!(echoes(port));
    until("a watchdog", PATIENCE, || system.processes("amazon-efs-mount-watchdog").len() == 1);
}

/// Architecture section 7: a killed tunnel is back on the same port; a connection made meanwhile waits and is not refused.
#[test]
fn a_killed_tunnel_comes_back_on_its_port() {
    let system = System::new(MOUNTS, "");
    let mounted = system.mounted();
    until("the watchdog has hold", PATIENCE, || {
        system.log("mount-watchdog.log").contains(&format!("watching tunnel pid {}", mounted.pid))
    });
    for _ in 0..3 {
        let before = system.state().unwrap().pid;
        kill(before);
        assert!(echoes(mounted.port), "refused while the tunnel was away");
        until("a new pid", PATIENCE, || system.state().is_some_and(|state| state.pid != before));
        assert_eq!(system.state().unwrap().port, mounted.port);
    }
}

/// aws/efs-utils, watchdog: after the unmount the tunnel ends and its files go; other mounts are left alone.
#[test]
fn an_unmounted_tunnel_is_reaped() {
    let system = System::new(MOUNTS, "");
    let mounted = system.mounted();
    let second = system.command().args([FILE_SYSTEM, "/mnt/other", "-o", "tls,mounttargetip=127.0.0.1"]).output();
    assert!(second.unwrap().status.success());
    let table = fs::read_to_string(system.path("proc/self/mountinfo")).unwrap();
    let rest: String =
        table.lines().filter(|line| line.contains("/mnt/other")).map(|line| format!("{line}\n")).collect();
    fs::write(system.path("proc/self/mountinfo"), rest).unwrap();
    let gone = || !system.path(&format!("var/run/efs/{}", mounted.name)).exists();
    until("the files are gone", PATIENCE, gone);
    until("the tunnel is gone", PATIENCE, || system.processes("efs-tunnel").len() == 1);
    assert!(!system.path(&format!("var/run/efs/{}+", mounted.name)).exists());
    assert!(echoes(system.state().unwrap().port));
}

/// aws/efs-utils, watchdog: it may be stopped and started; tunnels go on, and are taken over. Only one is at work.
#[test]
fn a_new_watchdog_takes_over() {
    let system = System::new(MOUNTS, "");
    let mounted = system.mounted();
    until("a watchdog", PATIENCE, || system.log("mount-watchdog.log").contains("watching tunnel"));
    let second = system.command().arg("amazon-efs-mount-watchdog").output().unwrap();
    assert!(second.status.success(), "a second watchdog ends at once");
    for pid in system.processes("amazon-efs-mount-watchdog") {
        kill(pid);
    }
    assert!(echoes(mounted.port));
    kill(mounted.pid);
    until("the port is free", PATIENCE, || TcpStream::connect(("127.0.0.1", mounted.port)).is_err());
    let mut next = system.command().arg("amazon-efs-mount-watchdog").spawn().unwrap();
    until("the tunnel is back", PATIENCE, || echoes(mounted.port));
    next.kill().unwrap();
    let _ = next.wait().unwrap();
}

/// aws/efs-utils, exit codes: it is mount.nfs4's, and nothing is left behind.
#[test]
fn a_failed_mount_leaves_nothing() {
    let system = System::new("echo 'mount.nfs4: access denied by server while mounting 127.0.0.1:/' >&2; exit 32", "");
    let output = system.mount(FILE_SYSTEM, "tls,mounttargetip=127.0.0.1");
    assert_eq!(output.status.code(), Some(32));
    assert_eq!(text(&output.stderr), "mount.nfs4: access denied by server while mounting 127.0.0.1:/\n");
    assert!(system.log("mount.log").contains(&format!("ERROR - Failed to mount {NAME} at /mnt/efs: returncode=32")));
    assert_eq!(fs::read_dir(system.path("var/run/efs")).unwrap().count(), 0);
    assert_eq!(system.processes("efs-tunnel").len(), 0);
}

/// aws/efs-utils#32, aws/efs-utils#271: a server that is not trusted is named as the reason, at once.
#[test]
fn a_server_that_is_not_trusted_is_the_stated_reason() {
    // As the kernel: it connects again and again and never gives up.
    let connects = "port=$(echo \"$4\" | sed 's/.*port=//;s/,.*//')\n\
        while true; do exec 3<>/dev/tcp/127.0.0.1/$port; echo hello >&3; read -t 10 answer <&3 2>/dev/null; sleep 0.1; done\n";
    let system = System::new(connects, "");
    fs::write(system.path("other.pem"), Authority::new().bundle()).unwrap();
    let options = format!("tls,mounttargetip=127.0.0.1,cafile={}", system.path("other.pem").display());
    let output = system.mount(FILE_SYSTEM, &options);
    assert_eq!(output.status.code(), Some(32));
    let said = text(&output.stderr);
    assert!(said.starts_with("mount.efs: 127.0.0.1:"), "{said}");
    assert!(said.contains("certificate"), "{said}");
    assert_eq!(fs::read_to_string(system.path("calls")).unwrap().lines().count(), 1);
    let missing = system.mount(FILE_SYSTEM, "tls,mounttargetip=127.0.0.1,cafile=/nowhere.pem");
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(text(&missing.stderr), "Failed to find certificate authority file for verification\n");
}

/// Architecture section 7: without TLS the kernel goes to the mount target itself; no tunnel, no state.
#[test]
fn a_mount_without_tls_is_direct() {
    let system = System::new("", "");
    let output = system.mount(&format!("{NAME}:/sub"), "ro,mounttargetip=127.0.0.1");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let calls = fs::read_to_string(system.path("calls")).unwrap();
    assert!(calls.starts_with("127.0.0.1:/sub /mnt/efs -o ro,nfsvers=4.1,"), "{calls}");
    assert!(!system.path("var/run/efs").exists());
}

/// aws/efs-utils, command line: already mounted is a note and success; `-f` does everything but mount.
#[test]
fn notes_and_fakes() {
    let system = System::new(MOUNTS, "");
    let output = system.command().args([FILE_SYSTEM, "/mnt/efs", "-f", "-o", "tls,mounttargetip=127.0.0.1"]).output();
    assert!(output.unwrap().status.success());
    assert!(!system.path("calls").exists());
    let _ = system.mounted();
    let output = system.mount(FILE_SYSTEM, "tls,mounttargetip=127.0.0.1");
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "/mnt/efs is already mounted, please run 'mount' command to verify\n");
    assert_eq!(fs::read_to_string(system.path("calls")).unwrap().lines().count(), 1);
}

/// aws/efs-utils, init system: under systemd without a network: the hint, and exit 0 so that the machine's start goes
/// on.
#[test]
fn without_a_network_the_start_goes_on() {
    let system = System::new(MOUNTS, "");
    fs::write(system.path("proc/1/comm"), "systemd\n").unwrap();
    fs::create_dir_all(system.path("bin")).unwrap();
    fs::write(system.path("bin/systemctl"), "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(system.path("bin/systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", system.path("bin").display());
    let mut command = system.command();
    let output = command.env("PATH", path).args([FILE_SYSTEM, "/mnt/efs", "-o", "tls"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stderr),
        format!(
            "Failed to mount {FILE_SYSTEM} because the network was not yet available, add \"_netdev\" to your mount options\n"
        )
    );
}

/// aws/efs-utils, DNS name: one that does not resolve: DescribeMountTargets at `endpoint_url` tells the address.
#[test]
fn the_api_tells_the_address_of_a_name_that_does_not_resolve() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = api.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = api.accept().unwrap();
        let mut request = vec![0; 4096];
        let count = socket.read(&mut request).unwrap();
        let body = "{\"MountTargets\":[{\"LifeCycleState\":\"available\",\"IpAddress\":\"127.0.0.1\",\
            \"AvailabilityZoneName\":\"us-east-1a\"}]}";
        write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        text(&request[..count])
    });
    let system = System::new(MOUNTS, &format!("endpoint_url = http://{address}"));
    fs::create_dir_all(system.path(".aws")).unwrap();
    fs::write(system.path(".aws/credentials"), "[default]\naws_access_key_id=AKTEST\naws_secret_access_key=s\n")
        .unwrap();
    let output = system.mount(FILE_SYSTEM, "tls");
    assert!(output.status.success(), "{} {}", text(&output.stderr), system.log("mount.log"));
    let request = server.join().unwrap();
    assert!(
        request.starts_with(&format!("GET /2015-02-01/mount-targets?FileSystemId={FILE_SYSTEM} HTTP/1.1\r\n")),
        "{request}"
    );
    assert!(request.to_lowercase().contains("authorization: aws4-hmac-sha256 credential=aktest/"), "{request}");
    assert!(echoes(system.state().unwrap().port));
}

/// aws/efs-utils, DNS name: without address and without help from the API the user learns both.
#[test]
fn a_name_that_leads_nowhere_says_why() {
    let system = System::new(MOUNTS, "");
    let output = system.mount(FILE_SYSTEM, "tls");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.starts_with(&format!("Failed to resolve \"{NAME}\" - check that your file system ID is correct")),
        "{said}"
    );
    assert!(said.contains("Unable to locate credentials"), "{said}");
}

/// aws/efs-utils, watchdog: a mount.efs that is stopped in the middle leaves nothing for ever, it is cleared away.
#[test]
fn an_abandoned_mount_is_cleared_away() {
    let system = System::new("exec sleep 30", "");
    let mut command = system.command();
    let mut child = command.args([FILE_SYSTEM, "/mnt/efs", "-o", "tls,mounttargetip=127.0.0.1"]).spawn().unwrap();
    until("the tunnel is up", PATIENCE, || system.path("calls").exists());
    child.kill().unwrap();
    let _ = child.wait().unwrap();
    assert_eq!(system.processes("efs-tunnel").len(), 1);
    let mut watchdog = system.command().arg("amazon-efs-mount-watchdog").spawn().unwrap();
    until("the tunnel is gone", PATIENCE, || system.processes("efs-tunnel").is_empty());
    until("the files are gone", PATIENCE, || {
        let names = fs::read_dir(system.path("var/run/efs")).unwrap().flatten().map(|entry| entry.file_name());
        names.filter(|name| name != "watchdog.lock").count() == 0
    });
    watchdog.kill().unwrap();
    let _ = watchdog.wait().unwrap();
}
