//! How far a check has come, on standard error: a line that is drawn again on a terminal, a line every ten seconds
//! elsewhere, nothing when asked for quiet.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use env::Instant;
use filesystem::fsck::{Phase, Progress};
use parking_lot::Mutex;

/// How often the line is drawn on a terminal.
const DRAWN_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written elsewhere.
const WRITTEN_EVERY: Duration = Duration::from_secs(10);
/// A phase says nothing of its end before it has gone on for so long.
const GUESS_AFTER: Duration = Duration::from_secs(2);
/// Places of the bar.
const WIDTH: u64 = 20;

/// Where progress goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Quiet,
    Drawn,
    Written,
}

/// The line of one check.
pub(super) struct Bar {
    env: env::Env,
    id: String,
    manner: Manner,
    state: Mutex<State>,
}

struct State {
    phase: Option<Phase>,
    began: Instant,
    shown: Instant,
    /// Something is on the terminal's line.
    drawn: bool,
}

impl Bar {
    pub(super) fn new(env: &env::Env, id: &str, quiet: bool) -> Self {
        let manner = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Manner::Quiet,
            (false, true) => Manner::Drawn,
            (false, false) => Manner::Written,
        };
        let now = env.now();
        let state = State { phase: None, began: now, shown: now, drawn: false };
        Self { env: env.clone(), id: id.to_owned(), manner, state: Mutex::new(state) }
    }

    /// Shows the progress, if it is time to.
    pub(super) fn tell(&self, progress: &Progress) {
        let every = match self.manner {
            Manner::Quiet => return,
            Manner::Drawn => DRAWN_EVERY,
            Manner::Written => WRITTEN_EVERY,
        };
        let now = self.env.now();
        let mut state = self.state.lock();
        if state.phase != Some(progress.phase) {
            state.phase = Some(progress.phase);
            state.began = now;
        }
        if now.since(state.shown) < every {
            return;
        }
        state.shown = now;
        let line = line(progress, now.since(state.began), self.manner == Manner::Drawn);
        let mut out = std::io::stderr().lock();
        // Without a standard error nobody waits for it.
        let _ = match self.manner {
            Manner::Drawn => write!(out, "\r\x1b[K{}: {line}", self.id).and_then(|()| out.flush()),
            Manner::Written | Manner::Quiet => writeln!(out, "{}: {line}", self.id),
        };
        state.drawn = self.manner == Manner::Drawn;
    }

    /// Makes room for a line of another kind, or for the shell's prompt.
    pub(super) fn clear(&self) {
        if std::mem::take(&mut self.state.lock().drawn) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// What is shown of it after `elapsed` of its phase.
fn line(progress: &Progress, elapsed: Duration, with_bar: bool) -> String {
    let (name, unit) = match progress.phase {
        Phase::Objects => ("objects", ""),
        Phase::Names => ("names", ""),
        Phase::Storage => ("storage", " records"),
        Phase::Contents => ("contents", " extents"),
        Phase::Repairs => ("repairs", ""),
    };
    let (part, whole) = match progress.bytes_of {
        0 => (progress.done, progress.done_of),
        bytes => (progress.bytes, bytes),
    };
    let mut text = format!("{name} ");
    // More than the records speak of: how much it will be is not known.
    let known = whole > 0 && part <= whole;
    if known && with_bar {
        let filled = usize::try_from(u128::from(part) * u128::from(WIDTH) / u128::from(whole)).unwrap_or(0);
        let empty = usize::try_from(WIDTH).unwrap_or(0).saturating_sub(filled);
        text += &format!("[{}{}] ", "#".repeat(filled), "-".repeat(empty));
    }
    if known {
        text += &format!("{}% ", u128::from(part) * 100 / u128::from(whole));
    }
    text += &format!("{}", progress.done);
    if progress.done_of > 0 && progress.done <= progress.done_of {
        text += &format!(" of {}", progress.done_of);
    }
    text += unit;
    if progress.bytes > 0 {
        text += &format!(", {}", size(progress.bytes));
    }
    if progress.bytes_of > 0 {
        text += &format!(" of {}", size(progress.bytes_of));
    }
    if known && part > 0 && elapsed >= GUESS_AFTER {
        let left = elapsed.as_millis().saturating_mul(u128::from(whole - part)) / u128::from(part) / 1000;
        text += &format!(", about {} left", time(left));
    }
    text
}

fn time(seconds: u128) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >> shift > 0 {
            let tenths = (u128::from(bytes) * 10) >> shift;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Progress =
        Progress { phase: Phase::Contents, done: 5, done_of: 20, bytes: 3 << 20, bytes_of: 12 << 20 };

    /// docs/operations.md, "Checking": phase, count, bytes and the time that is left are shown.
    #[test]
    fn a_line_says_what_is_left() {
        let minute = Duration::from_secs(60);
        let shown = "contents [#####---------------] 25% 5 of 20 extents, 3.0 MiB of 12.0 MiB, about 3 min left";
        assert_eq!(line(&STEP, minute, true), shown);
        assert_eq!(line(&STEP, minute, false), shown.replace("[#####---------------] ", ""));
        assert!(!line(&STEP, Duration::from_secs(1), true).contains("left"));
    }

    /// docs/operations.md, "Checking": what no record speaks of gets no share and no end, and nothing overflows.
    #[test]
    fn an_unknown_end_is_not_made_up() {
        let minute = Duration::from_secs(60);
        let names = Progress { phase: Phase::Names, done: 7, done_of: 0, bytes: 0, bytes_of: 0 };
        assert_eq!(line(&names, minute, true), "names 7");
        assert_eq!(line(&Progress { done_of: 6, ..names }, minute, true), "names 7");
        let most = Progress { done: u64::MAX, done_of: u64::MAX, bytes: 1, bytes_of: u64::MAX, ..STEP };
        assert!(line(&most, Duration::MAX, true).contains("0% "));
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
    }
}
