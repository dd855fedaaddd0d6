//! The naive model of contents: what was there at the last look, and what was written since. It says of each byte which
//! values somebody may see, and which may be there after a crash.
//!
//! Unstable data may be lost, or reach the disk in any order, until a COMMIT has answered for it (RFC 8881 section
//! 18.3); two writes at the same time may come in either order.

use std::collections::BTreeSet;

use crate::pattern;

/// What is written and flushed whole: the operations of a flush do not divide such a piece.
const WINDOW: u64 = 1 << 20;

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// `count` runs of `length` bytes, each `stride` behind the one before.
    Write {
        offset: u64,
        length: u64,
        stride: u64,
        count: u64,
    },
    Truncate {
        size: u64,
    },
}

/// One write or truncation. Times are the moves of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) what: What,
    /// Which bytes it writes.
    pub(crate) pattern: u64,
    pub(crate) begun: u64,
    /// When it was answered; `None` while it is under way.
    pub(crate) ended: Option<u64>,
    pub(crate) stable: bool,
    /// It was done, and has not been lost with other unstable data.
    pub(crate) certain: bool,
    /// It was acknowledged as durable.
    pub(crate) durable: bool,
    pub(crate) verifier: [u8; 8],
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum View {
    /// Somebody who began to look at this time.
    Live(u64),
    Crash,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) base: Vec<u8>,
    pub(crate) log: Vec<Entry>,
}

impl What {
    fn runs(&self) -> impl Iterator<Item = (u64, u64)> {
        let (offset, length, stride, count) = match *self {
            Self::Write { offset, length, stride, count } => (offset, length, stride, count),
            Self::Truncate { size } => (size, u64::MAX - size, 0, 1),
        };
        (0..count).map(move |run| (offset + run * stride, offset + run * stride + length))
    }

    pub(crate) fn end(&self) -> u64 {
        match *self {
            Self::Write { .. } => self.runs().last().map_or(0, |(_, end)| end),
            Self::Truncate { size } => size,
        }
    }

    fn covers(&self, from: u64, to: u64) -> bool {
        self.runs().any(|(low, high)| low <= from && to <= high)
    }

    fn touches(&self, from: u64, to: u64) -> bool {
        self.runs().any(|(low, high)| low < to && from < high)
    }

    const fn is_truncation(&self) -> bool {
        matches!(self, Self::Truncate { .. })
    }
}

impl Entry {
    /// Whether nobody of this view misses it.
    fn is_solid(&self, view: View) -> bool {
        match view {
            View::Live(since) => self.certain && self.ended.is_some_and(|ended| ended <= since),
            View::Crash => self.durable,
        }
    }

    /// Whether it surely came before `other`.
    fn is_before(&self, other: &Self) -> bool {
        self.ended.is_some_and(|ended| ended < other.begun)
    }

    fn fits(&self, from: u64, bytes: &[u8]) -> bool {
        match self.what {
            What::Truncate { .. } => bytes.iter().all(|byte| *byte == 0),
            What::Write { .. } => pattern::is(self.pattern, from, bytes),
        }
    }
}

impl Content {
    /// The sizes that this view may show, from and to.
    pub(crate) fn sizes(&self, view: View) -> (u64, u64) {
        let killed = |entry: &Entry| {
            let killer = |other: &&Entry| other.what.is_truncation() && other.is_solid(view) && entry.is_before(other);
            self.log.iter().any(|other| killer(&other))
        };
        let cut = self.log.iter().any(|entry| entry.what.is_truncation() && entry.is_solid(view));
        let base = (!cut).then_some(self.base.len() as u64);
        let alive: Vec<&Entry> = self.log.iter().filter(|entry| !killed(entry)).collect();
        let cuts = || alive.iter().filter(|entry| entry.what.is_truncation()).map(|entry| entry.what.end());
        let high = base.into_iter().chain(alive.iter().map(|entry| entry.what.end())).max().unwrap_or(0);
        let mut low = base.into_iter().chain(cuts()).min().unwrap_or(0);
        for entry in &alive {
            let may_be_cut = |other: &&Entry| other.what.is_truncation() && !other.is_before(entry);
            if !entry.what.is_truncation() && entry.is_solid(view) && !self.log.iter().any(|other| may_be_cut(&other)) {
                low = low.max(entry.what.end());
            }
        }
        (low, high)
    }

    /// Whether this view may show `bytes` at `from`.
    pub(crate) fn check(&self, view: View, from: u64, bytes: &[u8]) -> Result<(), String> {
        let to = from + bytes.len() as u64;
        let mut edges = BTreeSet::from([from, to, (self.base.len() as u64).clamp(from, to)]);
        for entry in &self.log {
            let all = entry.what.runs().flat_map(|(low, high)| [low, high]);
            edges.extend(all.filter(|edge| (from..to).contains(edge)));
        }
        let edges: Vec<u64> = edges.into_iter().collect();
        for pair in edges.windows(2) {
            let (low, high) = (pair[0], pair[1]);
            let part = &bytes[(low - from) as usize..(high - from) as usize];
            self.check_part(view, low, part)?;
        }
        Ok(())
    }

    /// All of `bytes` lie within the same entries.
    fn check_part(&self, view: View, from: u64, bytes: &[u8]) -> Result<(), String> {
        let to = from + bytes.len() as u64;
        let covering: Vec<&Entry> = self.log.iter().filter(|entry| entry.what.covers(from, to)).collect();
        let solid = |other: &&&Entry| other.is_solid(view);
        let possible: Vec<&&Entry> = covering
            .iter()
            .filter(|entry| !covering.iter().filter(solid).any(|other| entry.is_before(other)))
            .collect();
        let base_possible = !covering.iter().any(|entry| entry.is_solid(view));
        let base = |at: u64, part: &[u8]| {
            let kept = self.base.get(at as usize..).unwrap_or_default();
            let kept = &kept[..kept.len().min(part.len())];
            base_possible && part.starts_with(kept) && part[kept.len()..].iter().all(|byte| *byte == 0)
        };
        if base(from, bytes) || possible.iter().any(|entry| entry.fits(from, bytes)) {
            return Ok(());
        }
        for (at, byte) in (from..).zip(bytes) {
            let byte = std::slice::from_ref(byte);
            if !base(at, byte) && !possible.iter().any(|entry| entry.fits(at, byte)) {
                let base = self.base.get(at as usize);
                return Err(format!("{byte:?} at {at} is none of {possible:?}, base {base:?} ({base_possible})"));
            }
        }
        Ok(())
    }

    /// What a crash left is allowed, and stable writes that were not acknowledged are there whole or not at all.
    pub(crate) fn check_crash(&self, bytes: &[u8]) -> Result<(), String> {
        let (low, high) = self.sizes(View::Crash);
        let size = bytes.len() as u64;
        if !(low..=high).contains(&size) {
            return Err(format!("a size of {size}, not of {low} to {high}: {:?}", self.log));
        }
        self.check(View::Crash, 0, bytes)?;
        for (number, entry) in self.log.iter().enumerate() {
            let What::Write { offset, count: 1, .. } = entry.what else { continue };
            let end = entry.what.end();
            let alone = self.log.iter().enumerate().all(|(other_number, other)| {
                let before = other.durable && other.is_before(entry);
                other_number == number || before || !(other.what.is_truncation() || other.what.touches(offset, end))
            });
            if !entry.stable || entry.durable || !alone || offset / WINDOW != (end - 1) / WINDOW {
                continue;
            }
            let found = &bytes[(offset.min(size)) as usize..end.min(size) as usize];
            let whole = size >= end && entry.fits(offset, found);
            let mut without = self.clone();
            without.log.remove(number);
            if !whole && without.check(View::Crash, offset, found).is_err() {
                return Err(format!("a stable write is there in part: {entry:?}"));
            }
        }
        Ok(())
    }

    /// Unstable data of this verifier may be lost.
    pub(crate) fn doubt(&mut self, verifier: Option<[u8; 8]>) {
        for entry in &mut self.log {
            if !entry.durable && !entry.what.is_truncation() && verifier.is_none_or(|old| entry.verifier == old) {
                entry.certain = false;
            }
        }
    }

    /// A COMMIT that began then has answered with this verifier.
    pub(crate) fn committed(&mut self, begun: u64, verifier: [u8; 8]) {
        for entry in &mut self.log {
            let covered = entry.ended.is_some_and(|ended| ended <= begun) && entry.verifier == verifier;
            entry.durable |= entry.certain && covered;
        }
    }

    /// Everything that took its place in the queue by then is durable.
    pub(crate) fn queued(&mut self, then: u64) {
        for entry in &mut self.log {
            let queued = entry.what.is_truncation() || entry.stable;
            entry.durable |= entry.certain && queued && entry.ended.is_some_and(|ended| ended <= then);
        }
    }
}
