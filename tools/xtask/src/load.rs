//! The load generator against a server of ours: TLS, with the server's name.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::api::FileSystem;
use crate::coffer::Coffer;
use crate::house::{House, Profile};

/// How work reaches the server.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    program: PathBuf,
    ca: PathBuf,
}

impl Load {
    /// On this server.
    pub(crate) fn new(house: &House, profile: Profile, coffer: &Coffer) -> Self {
        Self { program: house.program(profile, "loadgen"), ca: coffer.ca() }
    }

    /// Work of one kind on one file system; it goes on until it is waited for.
    pub(crate) fn start(&self, file_system: &FileSystem, kind: &str, more: &[&str]) -> Result<Child, String> {
        let mut command = Command::new(&self.program);
        command.args(["nfs", kind, "--server", &format!("{}:2049", file_system.address), "--ca"]).arg(&self.ca);
        command.args(["--name", &format!("{}.efs.us-east-1.coffer.internal", file_system.id)]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| format!("{}: {error}", self.program.display()))
    }
}

/// Waits for work to be done; gives the line that describes it.
pub(crate) fn finished(worker: Child) -> Result<Value, String> {
    let done = worker.wait_with_output().map_err(|error| format!("loadgen: {error}"))?;
    if done.status.success() {
        return serde_json::from_slice(&done.stdout).map_err(|error| format!("loadgen's line: {error}"));
    }
    Err(format!("loadgen: {}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim()))
}

/// A number of the line.
pub(crate) fn number(line: &Value, name: &str) -> f64 {
    line.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}
