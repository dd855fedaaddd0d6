//! Where the client keeps its files: the places of efs-utils, or the same below another root (docs/mount-helper.md).

use std::path::{Path, PathBuf};

/// The environment variable that moves every path of the client below another directory.
pub const ROOT_VARIABLE: &str = "EFS_UTILS_ROOT";

/// Every path of the client. The kernel's own files (`/proc`, `/sbin`) are taken from the root only when it has them,
/// so that a scratch root serves real mounts and a test's root can play the system.
#[derive(Clone, Debug)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The paths below `root`; `/` for those of efs-utils.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The paths that [`ROOT_VARIABLE`] asks for.
    #[must_use]
    pub fn from_environment() -> Self {
        match std::env::var_os(ROOT_VARIABLE) {
            Some(root) if !root.is_empty() => Self::below(root),
            _ => Self::below("/"),
        }
    }

    /// The root, when it is not the system's own: the tunnel and the watchdog get it in their environment.
    #[must_use]
    pub fn moved_root(&self) -> Option<&Path> {
        (self.root != Path::new("/")).then_some(self.root.as_path())
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.root.join("etc/amazon/efs/efs-utils.conf")
    }

    /// The CA bundle that is used when neither option nor configuration names one.
    #[must_use]
    pub fn default_ca_file(&self) -> PathBuf {
        self.root.join("etc/amazon/efs/efs-utils.crt")
    }

    /// The directory of state files.
    #[must_use]
    pub fn state_directory(&self) -> PathBuf {
        self.root.join("var/run/efs")
    }

    /// The directory of `mount.log` and `mount-watchdog.log`.
    #[must_use]
    pub fn log_directory(&self) -> PathBuf {
        self.root.join("var/log/amazon/efs")
    }

    /// The table of mounts that the kernel keeps.
    #[must_use]
    pub fn mount_table(&self) -> PathBuf {
        self.own_or("proc/self/mountinfo")
    }

    /// The kernel's NFSv4 mount command.
    #[must_use]
    pub fn mount_nfs4(&self) -> PathBuf {
        self.own_or("sbin/mount.nfs4")
    }

    /// The name of the first process, which tells the init system.
    #[must_use]
    pub fn init_name(&self) -> PathBuf {
        self.own_or("proc/1/comm")
    }

    /// Where the kernel takes a file system's read-ahead.
    #[must_use]
    pub fn read_ahead_file(&self, device: &str) -> PathBuf {
        self.own_or(&format!("sys/class/bdi/{device}/read_ahead_kb"))
    }

    fn own_or(&self, path: &str) -> PathBuf {
        let own = self.root.join(path);
        if own.exists() { own } else { Path::new("/").join(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// aws/efs-utils, files: the places of the configuration, the state files and the logs.
    #[test]
    fn the_usual_places_are_those_of_efs_utils() {
        let paths = Paths::below("/");
        assert_eq!(paths.config_file(), Path::new("/etc/amazon/efs/efs-utils.conf"));
        assert_eq!(paths.state_directory(), Path::new("/var/run/efs"));
        assert_eq!(paths.log_directory(), Path::new("/var/log/amazon/efs"));
        assert_eq!(paths.moved_root(), None);
    }

    /// docs/mount-helper.md: a moved root plays the system only with the files it has.
    #[test]
    fn a_moved_root_falls_back_to_the_system() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        assert_eq!(paths.mount_table(), Path::new("/proc/self/mountinfo"));
        std::fs::create_dir_all(root.path().join("sbin")).unwrap();
        std::fs::write(root.path().join("sbin/mount.nfs4"), "").unwrap();
        assert_eq!(paths.mount_nfs4(), root.path().join("sbin/mount.nfs4"));
    }
}
