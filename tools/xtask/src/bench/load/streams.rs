//! The server's CPU for each GiB that is read from its cache, and for each that is written and committed.

use serde_json::Value;

use super::figure::{Bar, Figure};
use super::server::{Server, number};
use super::{Measured, Rig};

const READ_MAX: f64 = 0.9;
const WRITE_MAX: f64 = 1.6;
const GIB: f64 = 1_073_741_824.0;

pub(super) fn run(rig: &Rig<'_>, server: Server) -> Measured {
    let seconds = rig.seconds;
    let read = server.nfs(&format!("read --mib 256 --warm --seconds {seconds}"))?;
    let write = server.nfs(&format!("write --mib 256 --seconds {seconds}"))?;
    let figures = vec![
        figure("cached 1 MiB reads: the server's CPU", &read, READ_MAX)?,
        figure("1 MiB writes: the server's CPU", &write, WRITE_MAX)?,
    ];
    Ok((figures, server.stop()?))
}

fn figure(what: &str, line: &Value, most: f64) -> Result<Figure, String> {
    let each = number(line, "server_cpu_seconds")? / (number(line, "bytes")? / GIB);
    let remark = format!("{:.0} MiB/s", number(line, "mib_per_second")?);
    Ok(Figure::new(what, each, "s/GiB").held_to(Bar::AtMost(most)).with(remark).from(line))
}
