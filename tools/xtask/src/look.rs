//! A process at one moment, as the kernel counts it, and what a directory takes on the disk.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::bench::process::high_water;

/// The process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Look {
    /// Memory that it has.
    pub(crate) resident_kib: u64,
    /// The most that it ever had.
    pub(crate) most_kib: u64,
    pub(crate) threads: usize,
    pub(crate) files: usize,
}

impl Look {
    pub(crate) fn at(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        let count = |what: &str| fs::read_dir(format!("/proc/{process}/{what}")).map_or(0, Iterator::count);
        Self {
            resident_kib: number("VmRSS:"),
            most_kib: high_water(process),
            threads: count("task"),
            files: count("fd"),
        }
    }
}

impl std::fmt::Display for Look {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resident_kib, most_kib, threads, files } = self;
        write!(to, "{} MiB, {} MiB at most, {threads} threads, {files} files", resident_kib >> 10, most_kib >> 10)
    }
}

/// The bytes of the blocks that everything below a directory takes. What goes away meanwhile takes none.
pub(crate) fn allocated_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let taken = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => allocated_bytes(&entry.path()),
        Ok(about) => about.blocks() * 512,
        Err(_) => 0,
    });
    taken.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo xtask space`: a hole takes nothing, and what is below counts.
    #[test]
    fn blocks_are_counted_not_lengths() {
        let place = tempfile::tempdir().unwrap();
        let below = place.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::File::create(below.join("hole")).unwrap().set_len(1 << 30).unwrap();
        fs::write(below.join("full"), vec![1; 1 << 20]).unwrap();
        fs::File::open(below.join("full")).unwrap().sync_all().unwrap();
        let bytes = allocated_bytes(place.path());
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
    }
}
