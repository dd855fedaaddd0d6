//! What a client did and how long it took; the sum of all clients is the line that is printed.

use std::time::{Duration, Instant};

use crate::histogram::Histogram;

/// One client's counts, or all clients' together.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// How long each operation took.
    pub(crate) latency: Histogram,
    /// The same for so many operations after the other, if that is asked for.
    pub(crate) stretches: Vec<Histogram>,
    /// How many operations of one client make a stretch; 0: there are none.
    pub(crate) stretch: u64,
    /// How long each COMMIT took that belongs to several operations.
    pub(crate) commits: Histogram,
    /// Bytes read or written.
    pub(crate) bytes: u64,
    /// Directory entries listed.
    pub(crate) entries: u64,
    /// Bytes that were compared with what must be there, also outside the measured time.
    pub(crate) verified_bytes: u64,
    /// Requests that were sent again after NFS4ERR_DELAY or NFS4ERR_GRACE.
    pub(crate) retries: u64,
    /// Requests of one client on their way at once; fewer than asked for when the server gives fewer slots.
    pub(crate) depth: u32,
    /// From the first request to the last reply.
    pub(crate) span: Option<(Instant, Instant)>,
}

/// What an operation that is over adds to the tally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// Bytes read or written.
    pub(crate) bytes: u64,
    /// Bytes of them that were compared.
    pub(crate) verified_bytes: u64,
    /// Directory entries listed.
    pub(crate) entries: u64,
    /// Whether it is a COMMIT for operations that are counted already.
    pub(crate) commit: bool,
}

impl Tally {
    /// Of a client that did nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            latency: Histogram::new(),
            stretches: Vec::new(),
            stretch: 0,
            commits: Histogram::new(),
            bytes: 0,
            entries: 0,
            verified_bytes: 0,
            retries: 0,
            depth: u32::MAX,
            span: None,
        }
    }

    /// Notes an operation.
    pub(crate) fn add(&mut self, done: Done, took: Duration) {
        if done.commit { &mut self.commits } else { &mut self.latency }.record(took);
        if !done.commit && self.stretch > 0 {
            if (self.latency.total() - 1).is_multiple_of(self.stretch) {
                self.stretches.push(Histogram::new());
            }
            self.stretches.last_mut().into_iter().for_each(|stretch| stretch.record(took));
        }
        self.bytes += done.bytes;
        self.entries += done.entries;
        self.verified_bytes += done.verified_bytes;
    }

    /// Adds another client.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.stretches.resize(self.stretches.len().max(other.stretches.len()), Histogram::new());
        self.stretches.iter_mut().zip(&other.stretches).for_each(|(own, others)| own.merge(others));
        self.commits.merge(&other.commits);
        self.bytes += other.bytes;
        self.entries += other.entries;
        self.verified_bytes += other.verified_bytes;
        self.retries += other.retries;
        self.depth = self.depth.min(other.depth);
        self.span = match (self.span, other.span) {
            (Some((start, end)), Some((others_start, others_end))) => {
                Some((start.min(others_start), end.max(others_end)))
            }
            (own, others) => own.or(others),
        };
    }

    /// What was checked outside the measured time counts as checked, nothing else of it does.
    pub(crate) fn add_unmeasured(&mut self, other: &Self) {
        self.verified_bytes += other.verified_bytes;
        self.retries += other.retries;
    }

    /// From the first request of any client to the last reply.
    pub(crate) fn seconds(&self) -> f64 {
        self.span.map_or(0.0, |(start, end)| end.saturating_duration_since(start).as_secs_f64())
    }
}
