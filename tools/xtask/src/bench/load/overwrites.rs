//! Durable overwrites of 4 KiB at random: how many, how soon, and what they cost the block device.

use super::Rig;
use super::figure::{Bar, Figure};
use super::server::{Server, latencies, number};

/// Bytes on the device for each byte that a client wrote.
const BYTES_MAX: f64 = 2.3;
const DEVICE: &str = "4 KiB durable overwrites: on the block device";

pub(super) fn run(rig: &Rig<'_>, server: Server) -> Result<(Vec<Figure>, u64), String> {
    let work = format!("write4k --clients 16 --depth 4 --mib {} --seconds {}", rig.overwritten_mib, rig.seconds);
    let (line, device) = match server.nfs_on_disk(&work) {
        Ok(line) => {
            let (written, bytes) = (number(&line, "disk_bytes")?, number(&line, "bytes")?);
            let meanwhile = number(&line, "disk_bytes_meanwhile")? / bytes;
            let remark = format!("{meanwhile:.2} of it in the measured time, the rest until the device rested");
            let figure = Figure::new(DEVICE, written / bytes, "bytes/byte");
            (line, figure.held_to(Bar::AtMost(BYTES_MAX)).with(remark))
        }
        Err(why) if why.contains("no block device") => (
            server.nfs(&work)?,
            Figure::missing(DEVICE, "the data directory is on no block device (overlayfs, tmpfs?)"),
        ),
        Err(why) => return Err(why),
    };
    let what = format!("4 KiB durable overwrites of {} MiB, 16 clients x 4", rig.overwritten_mib);
    let rate = Figure::new(&what, number(&line, "rate")?, "/s").with(latencies(&line)?).from(&line);
    Ok((vec![rate, device], server.stop()?))
}
