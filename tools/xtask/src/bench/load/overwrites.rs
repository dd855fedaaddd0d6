//! Durable overwrites of 4 KiB at random: how many, how soon, and what they cost the block device.

use serde_json::Value;

use super::figure::{Bar, Figure};
use super::server::{Server, latencies, number};
use super::{Measured, Rig};

/// Bytes on the device for each byte that a client wrote.
const BYTES_MAX: f64 = 2.3;
const DEVICE: &str = "4 KiB durable overwrites: on the block device";

pub(super) fn run(rig: &Rig<'_>, server: Server) -> Measured {
    let work = format!("write4k --clients 16 --depth 4 --mib {} --seconds {}", rig.overwritten_mib, rig.seconds);
    let (line, device) = match server.nfs_on_disk(&work) {
        Ok(line) => {
            let figure = Figure::new(DEVICE, number(&line, "disk_bytes")? / number(&line, "bytes")?, "bytes/byte");
            let figure = figure.held_to(Bar::AtMost(BYTES_MAX)).doubted_if(!has_rested(&line)).with(device(&line)?);
            (line, figure)
        }
        Err(why) if why.contains("no block device") => {
            let why = "the data directory is on no block device (overlayfs, tmpfs?)";
            (server.nfs(&work)?, Figure::missing(DEVICE, why))
        }
        Err(why) => return Err(why),
    };
    let what = format!("4 KiB durable overwrites of {} MiB, 16 clients x 4", rig.overwritten_mib);
    let rate = Figure::new(&what, number(&line, "rate")?, "/s").with(latencies(&line)?).from(&line);
    Ok((vec![rate, device], server.stop()?))
}

/// When it was written, and by whom.
fn device(line: &Value) -> Result<String, String> {
    let bytes = number(line, "bytes")?;
    let mut words = format!("{:.2} of it in the measured time", number(line, "disk_bytes_meanwhile")? / bytes);
    if let Ok(own) = number(line, "server_written_bytes") {
        words += &format!("; the server's own writes {:.2}", own / bytes);
    }
    if !has_rested(line) {
        words += "; the device did not come to rest: others write to it";
    }
    Ok(words)
}

fn has_rested(line: &Value) -> bool {
    line.get("disk_rested").and_then(Value::as_bool) == Some(true)
}
