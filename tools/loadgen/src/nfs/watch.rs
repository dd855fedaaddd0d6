//! The one who watches: what was used and written from the moment when all clients begin to work until the last has ended.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::disk::{Disk, written_by};
use super::life::Run;
use super::processor::Used;
use crate::histogram::rounded;

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    used: Used,
    /// When the work began and ended, in seconds since 1970.
    began: f64,
    ended: f64,
    written: Option<Written>,
}

/// Bytes on the block device.
#[derive(Clone, Copy, Debug)]
struct Written {
    /// From the beginning to the end.
    meanwhile: u64,
    /// And until all that was put off is written, too.
    in_all: u64,
    /// What the server itself had written, if it is known.
    by_server: Option<u64>,
    /// Whether the device came to rest before and after; otherwise others write to it.
    rested: bool,
}

/// Watches a run. With a disk, it rests before the work begins, so that what the making ready wrote does not count, and again
/// before anything is checked or cleared up.
pub(crate) async fn watch(run: &Run, disk: Option<&Disk>) -> Result<Seen, String> {
    run.gate.watch_ready().await;
    let by_server = || run.options.pid.and_then(written_by);
    let before = match disk {
        Some(disk) => Some((disk.rested().await?, by_server())),
        None => None,
    };
    let (used, began) = (Used::now(run.options.pid)?, now()?);
    run.gate.watch_start().await;
    run.gate.watch_end().await;
    let (used, ended) = (Used::now(run.options.pid)?.since(used), now()?);
    let written = match disk.zip(before) {
        Some((disk, ((bytes, rested), server))) => {
            let meanwhile = disk.written()? - bytes;
            let (after, rested_again) = disk.rested().await?;
            let by_server = by_server().zip(server).map(|(after, before)| after.saturating_sub(before));
            Some(Written { meanwhile, in_all: after - bytes, by_server, rested: rested && rested_again })
        }
        None => None,
    };
    run.gate.watch_leave().await;
    Ok(Seen { used, began, ended, written })
}

fn now() -> Result<f64, String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| format!("the clock: {error}"))?;
    Ok(since.as_secs_f64())
}

impl Seen {
    /// Its part of the line that is printed.
    pub(crate) fn report(&self, line: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("began", rounded(self.began));
        put("ended", rounded(self.ended));
        put("loadgen_cpu_seconds", rounded(self.used.own));
        if let Some(server) = self.used.server {
            put("server_cpu_seconds", rounded(server));
        }
        if let Some(written) = self.written {
            put("disk_bytes_meanwhile", written.meanwhile.into());
            put("disk_bytes", written.in_all.into());
            put("disk_rested", written.rested.into());
            if let Some(bytes) = written.by_server {
                put("server_written_bytes", bytes.into());
            }
        }
    }
}
