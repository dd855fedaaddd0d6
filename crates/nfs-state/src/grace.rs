//! Grace: after a restart clients reclaim what they held before anything new is granted. RFC 8881, section 8.4.2.

use std::collections::HashMap;
use std::time::Duration;

use env::Instant;

use crate::recovery::{RecordBody, RecordKey};

/// Where the file system stands, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraceStatus {
    /// The records are not known yet (the file system is sealed).
    NotBegun,
    /// Only reclaims are taken.
    Running {
        /// How many recorded clients have not completed.
        waiting: usize,
        /// How long it lasts at most; it stands still while paused.
        remaining: Duration,
    },
    /// Everything is granted.
    Over,
}

#[derive(Debug)]
pub(crate) enum Grace {
    NotBegun,
    Running { waiting: HashMap<Box<[u8]>, (RecordKey, RecordBody)>, ends: Instant, paused: Option<Instant> },
    Over,
}

impl Grace {
    /// Stands still from now.
    pub(crate) fn pause(&mut self, now: Instant) {
        if let Self::Running { paused, .. } = self {
            paused.get_or_insert(now);
        }
    }

    /// Goes on.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Self::Running { paused, ends, .. } = self
            && let Some(since) = paused.take()
        {
            *ends = *ends + now.since(since);
        }
    }

    /// Whether only reclaims are taken, or nothing.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        match self {
            Self::NotBegun => true,
            Self::Running { waiting, ends, paused } => !waiting.is_empty() && (paused.is_some() || now < *ends),
            Self::Over => false,
        }
    }

    /// Where it stands.
    pub(crate) fn status(&self, now: Instant) -> GraceStatus {
        match self {
            Self::NotBegun => GraceStatus::NotBegun,
            Self::Running { waiting, ends, paused } if self.holds(now) => {
                GraceStatus::Running { waiting: waiting.len(), remaining: ends.since(paused.unwrap_or(now)) }
            }
            Self::Running { .. } | Self::Over => GraceStatus::Over,
        }
    }
}
