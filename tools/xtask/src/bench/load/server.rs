//! A Coffer server with one sealed file system, and the load generator on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Rig;
use crate::api::FileSystem;
use crate::bench::process::high_water;
use crate::coffer::{Coffer, Settings};
use crate::house::{Profile, output};

/// Running, with its file system open to clients.
pub(super) struct Server {
    coffer: Coffer,
    file_system: FileSystem,
    loadgen: PathBuf,
}

impl Server {
    /// A new one, under the programs that watch it.
    pub(super) fn start(rig: &Rig<'_>, under: &[String]) -> Result<Self, String> {
        let (place, profile) = (rig.place.join("server"), Profile::Release);
        fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let coffer = Coffer::with_many_addresses(rig.house, profile, &place, Settings::default(), under)?;
        let api = coffer.api()?;
        let key = api.create_key("bench")?;
        let file_system = api.create_file_system("bench", Some(&key))?;
        Ok(Self { coffer, file_system, loadgen: rig.house.program(profile, "loadgen") })
    }

    /// Its data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.coffer.data()
    }

    /// `loadgen nfs` with these arguments; gives its line.
    pub(super) fn nfs(&self, arguments: &str) -> Result<Value, String> {
        self.nfs_with(arguments, &[])
    }

    /// The same; what was written to the block device below the data directory is in the line.
    pub(super) fn nfs_on_disk(&self, arguments: &str) -> Result<Value, String> {
        self.nfs_with(arguments, &["--disk", &word(&self.data())])
    }

    fn nfs_with(&self, arguments: &str, more: &[&str]) -> Result<Value, String> {
        let process = self.coffer.id().ok_or("the server is gone")?;
        let mut command = Command::new(&self.loadgen);
        command.arg("nfs").args(arguments.split_whitespace()).args(more);
        command.args(["--pid", &process.to_string(), "--server", &format!("{}:2049", self.file_system.address)]);
        command.arg("--ca").arg(self.coffer.ca());
        command.args(["--name", &format!("{}.efs.us-east-1.coffer.internal", self.file_system.id)]);
        let said = output(&mut command).map_err(|why| format!("{why}; the server: {}", self.coffer.last_words()))?;
        parsed(&said)
    }

    /// `loadgen fsync` on the file system of the data directory.
    pub(super) fn fsync(&self, arguments: &[&str]) -> Result<Value, String> {
        let probe = self.coffer.place().join("fsync-probe");
        parsed(&output(Command::new(&self.loadgen).arg("fsync").arg(&probe).args(arguments))?)
    }

    /// Ends it; the most memory that it ever had, in KiB.
    pub(super) fn stop(mut self) -> Result<u64, String> {
        let kib = self.coffer.id().map_or(0, high_water);
        self.coffer.stop()?;
        Ok(kib)
    }
}

fn parsed(said: &str) -> Result<Value, String> {
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| format!("loadgen: {last:?}: {error}"))
}

/// A number of a line.
pub(in crate::bench) fn number(line: &Value, name: &str) -> Result<f64, String> {
    line.get(name).and_then(Value::as_f64).ok_or_else(|| format!("no {name} in {line}"))
}

/// A line's latencies in words.
pub(super) fn latencies(line: &Value) -> Result<String, String> {
    let milliseconds = |name| number(line, name).map(|microseconds| microseconds / 1000.0);
    let (p50, p99, p999) = (milliseconds("p50_us")?, milliseconds("p99_us")?, milliseconds("p999_us")?);
    Ok(format!("p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms"))
}

/// Whether a program is there.
pub(super) fn has(program: &str) -> bool {
    output(Command::new(program).arg("--version")).is_ok()
}

/// A path as an argument.
pub(super) fn word(path: &Path) -> String {
    path.display().to_string()
}
