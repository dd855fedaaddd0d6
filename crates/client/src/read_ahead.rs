//! Read-ahead after the mount: Linux 5.4 and later begin NFS mounts with 128 KiB, whatever the read size
//! (aws/efs-utils, `optimize_readahead`).

use crate::{LogFile, Paths, mount_table};

/// The kernel's own factor before 5.4.
const READS_AHEAD: u64 = 15;

/// Gives the mount that goes through `port` to `server` 15 reads ahead. The device comes from the mount table, so the
/// mount itself is not touched.
pub(crate) fn widen(paths: &Paths, mount_point: &str, read_bytes: u64, log: &LogFile) {
    if !needs_it(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()) {
        return;
    }
    let mounts = mount_table::read(&paths.mount_table()).unwrap_or_default();
    let Some(mount) = mounts.iter().rev().find(|mount| mount.mount_point == mount_point) else { return };
    let kilobytes = READS_AHEAD * read_bytes / 1024;
    let file = paths.read_ahead_file(&mount.device);
    if let Err(error) = std::fs::write(&file, format!("{kilobytes}\n")) {
        log.warning(&format!(
            "Failed to modify read_ahead_kb: {kilobytes} with error: \"{}: {error}\".",
            file.display()
        ));
    }
}

fn needs_it(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map(|part| part.trim().parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (5, 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{log, mount_line};

    /// aws/efs-utils, `optimize_readahead`: 15 x rsize / 1024 into the device's file, from Linux 5.4 on.
    #[test]
    fn the_devices_file_gets_fifteen_reads() {
        assert!(needs_it("6.1.0-25-amd64\n") && needs_it("5.4") && !needs_it("5.3.9") && !needs_it("4.19"));
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below(root.path());
        std::fs::create_dir_all(root.path().join("proc/self")).unwrap();
        std::fs::write(root.path().join("proc/self/mountinfo"), mount_line("/mnt/efs", 20100)).unwrap();
        let file = root.path().join("sys/class/bdi/0:52/read_ahead_kb");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "128\n").unwrap();
        widen(&paths, "/mnt/efs", 1_048_576, &log(root.path()));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "15360\n");
    }
}
