//! What a durable create of a client that is alone takes, against what a sync takes on the same disk.

use super::figure::{Bar, Figure};
use super::server::{Server, number};
use super::{Measured, Rig};

/// How many times as long as a sync.
const RATIO_MAX: f64 = 2.0;
const SYNCS: &str = "1000";

pub(super) fn run(rig: &Rig<'_>, server: Server) -> Measured {
    // Before and after: a disk has its moods.
    let before = server.fsync(&["--count", SYNCS])?;
    let line = server.nfs(&format!("create --clients 1 --seconds {}", rig.seconds))?;
    let after = server.fsync(&["--count", SYNCS])?;
    let overwriting = server.fsync(&["--count", SYNCS, "--overwrite"])?;
    let p50 = |line| number(line, "p50_us").map(|microseconds| microseconds / 1000.0);
    let (create, sync) = (p50(&line)?, f64::midpoint(p50(&before)?, p50(&after)?));
    let remark = format!(
        "create {create:.2} ms; append and fdatasync {:.2} ms before, {:.2} ms after; overwriting {:.2} ms",
        p50(&before)?,
        p50(&after)?,
        p50(&overwriting)?
    );
    let figure = Figure::new("a lone durable create: p50 against a sync's", create / sync, "x");
    let figure = figure.held_to(Bar::AtMost(RATIO_MAX)).with(remark);
    let figure = figure.from(&line).from(&before).from(&after).from(&overwriting);
    Ok((vec![figure], server.stop()?))
}
