//! A scratch root that plays the system, a script that plays mount.nfs4, a file that plays the kernel's mount table, and
//! a TLS echo that plays the mount target; the installed programs run for real.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use crate::server::{Authority, Manner, Server};

pub const FILE_SYSTEM: &str = "fs-0123456789abcdef0";
pub const NAME: &str = "fs-0123456789abcdef0.efs.us-east-1.coffer.test";

/// A stand-in for mount.nfs4: it notes its arguments, and its mount shows in the table.
pub const MOUNTS: &str = "port=$(echo \"$4\" | sed 's/.*port=//;s/,.*//')\n\
    echo \"40 21 0:52 / $2 rw - nfs4 127.0.0.1:/ rw,port=$port,addr=127.0.0.1\" >> $root/proc/self/mountinfo\n";

/// What comes at once on a calm machine may take long on a busy one.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct System {
    pub root: tempfile::TempDir,
    /// As a user's: the server's address and CA.
    pub server: Server,
    pub authority: Authority,
}

impl System {
    /// A system whose mount.nfs4 is `mount_script`, with more lines for `[mount]`.
    pub fn new(mount_script: &str, extra: &str) -> Self {
        let authority = Authority::new();
        let server = Server::start(&authority, NAME, Manner::Echo);
        Self::with(authority, server, mount_script, extra)
    }

    pub fn with(authority: Authority, server: Server, mount_script: &str, extra: &str) -> Self {
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

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mount-efs"));
        let _ = command.env_clear().env("EFS_UTILS_ROOT", self.root.path()).env("PATH", "/usr/bin:/bin");
        let _ = command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", self.root.path());
        command
    }

    pub fn mount(&self, device: &str, options: &str) -> Output {
        self.command().args([device, "/mnt/efs", "-o", options]).output().unwrap()
    }

    /// A mount that works.
    pub fn mounted(&self) -> Mounted {
        let output = self.mount(&format!("{FILE_SYSTEM}:/"), "rw,tls,mounttargetip=127.0.0.1");
        assert!(output.status.success(), "{} {}", text(&output.stderr), self.log("mount.log"));
        self.state().unwrap()
    }

    pub fn state(&self) -> Option<Mounted> {
        let entries = fs::read_dir(self.path("var/run/efs")).ok()?.flatten();
        let name = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .find(|name| name.starts_with("fs-") && !name.ends_with('+'))?;
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(self.path("var/run/efs").join(&name)).unwrap()).ok()?;
        Some(Mounted { port: name.rsplit('.').next()?.parse().ok()?, pid: json["pid"].as_i64()?, name, json })
    }

    /// What lies in the state directory, but for the watchdog's lock.
    pub fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("var/run/efs")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name != "watchdog.lock").collect()
    }

    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path("var/log/amazon/efs").join(name)).unwrap_or_default()
    }

    /// Processes of this root: what mount.efs left running.
    pub fn processes(&self, word: &str) -> Vec<i64> {
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

pub struct Mounted {
    pub name: String,
    pub port: u16,
    pub pid: i64,
    pub json: serde_json::Value,
}

pub fn kill(pid: i64) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).output().unwrap();
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn until(what: &str, limit: Duration, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn echoes(port: u16) -> bool {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut back = [0; 4];
    socket.write_all(b"ping").is_ok() && socket.read_exact(&mut back).is_ok() && &back == b"ping"
}
