//! What the block device below a directory was written, from the kernel's counters.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The kernel counts in sectors of this size on every device.
const SECTOR_BYTES: u64 = 512;
/// How long a server may go on with what it has put off.
const REST_MAX: Duration = Duration::from_secs(30);
/// A device to which no more is written in a second rests.
const RESTING_BYTES: u64 = 256 << 10;

/// A block device's counters.
#[derive(Clone, Debug)]
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// The device (or partition) that holds this directory; none below overlayfs, tmpfs and others without a device of
    /// their own.
    pub(crate) fn below(path: &Path) -> Result<Self, String> {
        let about = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let (major, minor) = (libc::major(about.dev()), libc::minor(about.dev()));
        let counters = PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat"));
        if counters.exists() {
            return Ok(Self(counters));
        }
        Err(format!("{}: no block device {major}:{minor} (overlayfs, tmpfs?)", path.display()))
    }

    /// Bytes written to it so far, by whomever.
    pub(crate) fn written(&self) -> Result<u64, String> {
        let path = self.0.display();
        let text = fs::read_to_string(&self.0).map_err(|error| format!("{path}: {error}"))?;
        let sectors = text.split_whitespace().nth(6).and_then(|sectors| sectors.parse::<u64>().ok());
        sectors.map(|sectors| sectors * SECTOR_BYTES).ok_or_else(|| format!("{path}: no count of sectors written"))
    }

    /// Writes back what the kernel holds and waits until the device rests, so that what a server has put off is written,
    /// too; then says how much was written so far, and whether the device came to rest.
    pub(crate) async fn rested(&self) -> Result<(u64, bool), String> {
        let start = Instant::now();
        loop {
            write_back().await?;
            let before = self.written()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            write_back().await?;
            let after = self.written()?;
            let rests = after - before <= RESTING_BYTES;
            if rests || start.elapsed() > REST_MAX {
                return Ok((after, rests));
            }
        }
    }
}

async fn write_back() -> Result<(), String> {
    tokio::task::spawn_blocking(rustix::fs::sync).await.map_err(|error| format!("sync: {error}"))
}

/// Bytes that a process made the kernel write, or owe, to block devices: what it wrote into the page cache counts when it becomes
/// dirty, what a file system writes for itself does not. None where the kernel does not tell.
pub(crate) fn written_by(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/testing.md, "The load generator": where there is no block device, it says so.
    #[test]
    fn a_directory_without_a_device_is_named() {
        assert!(Disk::below(Path::new("/proc")).unwrap_err().contains("/proc: no block device"));
        assert_eq!(written_by(u32::MAX), None);
    }
}
