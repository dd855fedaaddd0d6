//! The one who watches: what was used and written from the moment when all clients begin to work until the last has ended.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::disk::Disk;
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
}

/// Watches a run. With a disk, it rests before the work begins, so that what the making ready wrote does not count, and again
/// before anything is checked or cleared up.
pub(crate) async fn watch(run: &Run, disk: Option<&Disk>) -> Result<Seen, String> {
    run.gate.watch_ready().await;
    let before = match disk {
        Some(disk) => Some(disk.rested().await?),
        None => None,
    };
    let (used, began) = (Used::now(run.options.pid)?, now()?);
    run.gate.watch_start().await;
    run.gate.watch_end().await;
    let (used, ended) = (Used::now(run.options.pid)?.since(used), now()?);
    let written = match disk.zip(before) {
        Some((disk, before)) => {
            let meanwhile = disk.written()? - before;
            Some(Written { meanwhile, in_all: disk.rested().await? - before })
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
        }
    }
}
