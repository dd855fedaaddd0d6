//! What a durable create of a client that is alone takes, against what a sync takes on the same disk.

use serde_json::Value;

use super::figure::{Bar, Figure};
use super::server::{Server, number};
use super::{Measured, Rig};

/// How many times as long as a sync.
const RATIO_MAX: f64 = 2.0;
const SYNCS: &str = "1000";

pub(super) fn run(rig: &Rig<'_>, server: Server) -> Measured {
    let (appending, overwriting): (&[&str], &[&str]) = (&["--count", SYNCS], &["--count", SYNCS, "--overwrite"]);
    let syncs = || Ok::<_, String>([server.fsync(appending)?, server.fsync(overwriting)?]);
    // Before and after: a disk has its moods.
    let before = syncs()?;
    let line = server.nfs(&format!("create --clients 1 --seconds {}", rig.seconds))?;
    let after = syncs()?;
    let create = p50(&line)?;
    let figure = |(how, (before, after)): (&str, (&Value, &Value))| {
        let (first, second) = (p50(before)?, p50(after)?);
        let remark = format!("create {create:.2} ms; {how} and fdatasync {first:.2} ms before, {second:.2} ms after");
        let what = format!("a lone durable create: p50 against {how} and sync");
        let figure = Figure::new(&what, create / f64::midpoint(first, second), "x").held_to(Bar::AtMost(RATIO_MAX));
        Ok(figure.with(remark).from(&line).from(before).from(after))
    };
    let ways = ["append", "overwrite"].into_iter().zip(before.iter().zip(&after));
    let figures = ways.map(figure).collect::<Result<_, String>>()?;
    Ok((figures, server.stop()?))
}

fn p50(line: &Value) -> Result<f64, String> {
    number(line, "p50_us").map(|microseconds| microseconds / 1000.0)
}
