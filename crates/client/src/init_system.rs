//! What starts services here, and what that means for a mount (aws/efs-utils, init system).

use std::process::{Command, Stdio};

use crate::{LogFile, MountError, Paths, ROOT_VARIABLE};

/// The watchdog's name as a service and as a process.
pub const WATCHDOG: &str = "amazon-efs-mount-watchdog";

/// The first process of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitSystem {
    /// systemd: it keeps the watchdog, and knows of the network.
    Systemd,
    /// Anything else, containers among it: the watchdog is started beside the mount.
    Other,
}

impl InitSystem {
    /// Looks at the first process.
    #[must_use]
    pub fn find(paths: &Paths) -> Self {
        let name = std::fs::read_to_string(paths.init_name()).unwrap_or_default();
        if name.trim() == "systemd" { Self::Systemd } else { Self::Other }
    }

    /// Refuses, with exit code 0, while systemd says that the network is not up: at the system's start a mount without
    /// `_netdev` must not fail the start.
    ///
    /// # Errors
    /// The network is not up.
    pub fn check_network(self, file_system: &str) -> Result<(), MountError> {
        if self == Self::Systemd && !succeeds("systemctl", &["is-active", "network.target"]) {
            return Err(MountError::NetworkNotUp(file_system.to_owned()));
        }
        Ok(())
    }

    /// Sees to it that a watchdog runs. One that runs already keeps its lock, and another start is harmless.
    pub fn start_watchdog(self, paths: &Paths, log: &LogFile) {
        if self == Self::Systemd && paths.moved_root().is_none() {
            if succeeds("systemctl", &["is-active", "--quiet", WATCHDOG]) {
                return;
            }
            if succeeds("systemctl", &["start", WATCHDOG]) {
                return;
            }
            log.warning(&format!("systemd could not start {WATCHDOG}; it is started beside the mount"));
        }
        let outcome = std::env::current_exe().and_then(|program| {
            let mut command = Command::new(program);
            let _ = command.arg(WATCHDOG).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = command.current_dir("/");
            // Nothing of the mount's surroundings, credentials among them, reaches a process that stays for months.
            let _ = command.env_clear();
            if let Some(root) = paths.moved_root() {
                let _ = command.env(ROOT_VARIABLE, root);
            }
            command.spawn().map(drop)
        });
        if let Err(error) = outcome {
            log.warning(&format!("Could not start {WATCHDOG}: {error}"));
        }
    }
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let _ = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// aws/efs-utils, init system: it is the content of `/proc/1/comm`; without systemd nobody asks for the network.
    #[test]
    fn the_first_process_tells_the_init_system() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        std::fs::create_dir_all(root.path().join("proc/1")).unwrap();
        std::fs::write(root.path().join("proc/1/comm"), "systemd\n").unwrap();
        assert_eq!(InitSystem::find(&paths), InitSystem::Systemd);
        std::fs::write(root.path().join("proc/1/comm"), "bash\n").unwrap();
        assert_eq!(InitSystem::find(&paths), InitSystem::Other);
        InitSystem::Other.check_network("fs-1").unwrap();
    }
}
