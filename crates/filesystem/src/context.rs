//! Who asks, and what the asking compound has seen: the arguments every operation takes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{FsError, ReplyHold, Result};

/// The POSIX identity an operation acts under (after access point and squash have had their say).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User; 0 passes all permission checks.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

impl Credentials {
    /// uid 0, gid 0.
    #[must_use]
    pub const fn root() -> Self {
        Self { uid: 0, gid: 0, groups: Vec::new() }
    }

    pub(crate) fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// The highest place in the commit queue that a compound's operations wrote or read before it was durable.
///
/// One per compound; [`FileSystem::durable`](crate::FileSystem::durable) waits for it once, before the reply.
#[derive(Debug, Default)]
pub struct Watermark(AtomicU64);

impl Watermark {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn raise(&self, position: u64) {
        self.0.fetch_max(position, Ordering::Relaxed);
    }

    pub(crate) fn position(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What an operation needs to know of its caller and of its compound.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Who asks.
    pub credentials: &'a Credentials,
    /// What the compound has seen.
    pub watermark: &'a Watermark,
    /// Of a compound with exactly one changing operation: the place for its encoded reply.
    pub reply: Option<&'a ReplyHold>,
    /// The caller may only read.
    pub read_only: bool,
}

impl Context<'_> {
    pub(crate) fn may_change(&self) -> Result<()> {
        if self.read_only { Err(FsError::ReadOnly) } else { Ok(()) }
    }
}
