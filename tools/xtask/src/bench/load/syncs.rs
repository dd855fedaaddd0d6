//! How many syncs an operation costs, counted by strace.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::figure::Figure;
use super::server::{Server, has, number, word};
use super::{Measured, Rig};

const TRACE: &str = "syncs";
/// A traced server has no speed to be measured for long.
const SECONDS_MAX: u64 = 3;

/// Only the traced calls stop the server, and the tracer is nobody's parent: the server is the process that was started.
pub(super) fn under(_: &Rig<'_>, place: &Path) -> Result<Vec<String>, String> {
    if !has("strace") {
        return Err("needs strace".to_owned());
    }
    let strace = "strace -D -f --seccomp-bpf -ttt -e trace=fdatasync,fsync -e signal=none -o";
    Ok(strace.split(' ').map(str::to_owned).chain([word(&place.join(TRACE))]).collect())
}

pub(super) fn run(rig: &Rig<'_>, server: Server) -> Measured {
    let seconds = rig.seconds.min(SECONDS_MAX);
    let kinds = [
        ("syncs for each create, 1 client", "create --clients 1"),
        ("syncs for each 4 KiB durable overwrite, 1 client", "write4k --clients 1 --mib 64"),
        ("syncs for each create, 64 clients", "create --clients 64"),
    ];
    let work = |(what, kind)| server.nfs(&format!("{kind} --seconds {seconds}")).map(|line| (what, line));
    let lines = kinds.into_iter().map(work).collect::<Result<Vec<_>, _>>()?;
    let kib = server.stop()?;
    let trace = whole(&rig.place.join(TRACE))?;
    let figure = |(what, line): &(&str, _)| {
        let (began, ended) = (number(line, "began")?, number(line, "ended")?);
        let (operations, syncs) = (number(line, "operations")?, count(&trace, began, ended));
        let remark = format!("{syncs} in {operations} operations, {:.0}/s under strace", number(line, "rate")?);
        Ok(Figure::new(what, f64::from(syncs) / operations, "/operation").with(remark).from(line))
    };
    Ok((lines.iter().map(figure).collect::<Result<_, String>>()?, kib))
}

/// The trace once the tracer has written all of it: the last line tells that the server has ended.
fn whole(path: &Path) -> Result<String, String> {
    let start = Instant::now();
    loop {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if text.lines().last().is_some_and(|line| line.contains("exited with")) {
            return Ok(text);
        }
        if start.elapsed() > Duration::from_secs(10) {
            return Err("strace does not come to an end".to_owned());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Calls that began between two moments. A line is the thread, the moment, and the call; a call that another interrupts
/// has a second line, `<... fsync resumed>`.
fn count(trace: &str, began: f64, ended: f64) -> u32 {
    let within = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let moment = words.next().and_then(|moment| moment.parse::<f64>().ok());
        let call = words.next().unwrap_or_default();
        (call.starts_with("fdatasync(") || call.starts_with("fsync("))
            && moment.is_some_and(|moment| began <= moment && moment <= ended)
    };
    u32::try_from(trace.lines().filter(within).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo xtask bench`: each sync of the measured time counts once.
    #[test]
    fn syncs_are_counted_between_two_moments() {
        let trace = "7 10.5 fdatasync(12) = 0
8 11.0 fdatasync(12 <unfinished ...>
9 11.1 fsync(3) = 0
8 11.2 <... fdatasync resumed>) = 0
7 12.5 fdatasync(12) = 0
7 12.6 +++ exited with 0 +++
";
        assert_eq!(count(trace, 11.0, 12.0), 2);
        assert_eq!(count(trace, 0.0, 20.0), 4);
    }
}
