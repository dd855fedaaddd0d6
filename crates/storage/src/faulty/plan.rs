//! What shall happen to the calls of a faulty store.

use std::{collections::VecDeque, time::Duration};

use super::Held;
use crate::{Batch, CommitError, Place, Sealed, SegmentId, Space, StorageError};

/// What shall happen to a commit.
#[derive(Clone, Debug)]
pub enum CommitFault {
    /// Nothing.
    Pass,
    /// Done at once, answered late.
    Late(Duration),
    /// Done and answered late, as are those that come meanwhile, in their order.
    DoneLate(Duration),
    /// Not done, and so answered.
    Refuse(CommitError),
    /// `done` or not, the answer is `Unknown`, and the store goes on.
    Unknown {
        /// Whether it became durable.
        done: bool,
    },
    /// The store is cut before the batch is durable: the answer is `Unknown`.
    CutBefore,
    /// The store is cut after the batch is durable: the answer is `Unknown` too.
    CutAfter,
}

/// What shall happen to a put, a copy or the deletion of a segment.
#[derive(Clone, Debug)]
pub enum PutFault {
    /// Nothing.
    Pass,
    /// Done late, so that later ones overtake it.
    Late(Duration),
    /// Not done, and so answered.
    Refuse(StorageError),
    /// The store is cut before anything is done.
    CutBefore,
    /// The store is cut; the bytes may have been written, but nobody learns where.
    Cut,
}

/// What shall happen to a read (of a record, a page, or bytes of a segment).
#[derive(Clone, Debug)]
pub enum ReadFault {
    /// Nothing.
    Pass,
    /// Answered late.
    Late(Duration),
    /// Fails.
    Fail(StorageError),
    /// The store is cut.
    Cut,
}

/// A call that waits, as a director sees it.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// [`Shard::commit`](crate::Shard::commit).
    Commit(&'a Batch),
    /// [`Segments::put`](crate::Segments::put).
    Put(&'a [Sealed]),
    /// [`Segments::copy`](crate::Segments::copy).
    Copy(&'a [Place]),
    /// [`Segments::delete`](crate::Segments::delete).
    Delete(SegmentId),
    /// Any read that waits.
    Read,
}

/// What a director says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing happens.
    Pass,
    /// Done at once, answered late; a put is done late, so that later ones overtake it.
    Late(Duration),
    /// A commit is done late, and those after it too; other calls as [`Late`](Self::Late).
    DoneLate(Duration),
    /// An error of the disk: not done.
    Fail,
    /// No room: not done. A read has no use for room, and passes.
    NoSpace,
    /// Nobody knows what became of a commit, and the store goes on; other calls fail.
    Unknown {
        /// Whether it became durable.
        done: bool,
    },
    /// The store is cut before the call does anything.
    CutBefore,
    /// The store is cut when the call is done, before it is answered.
    CutAfter,
}

type Director = Box<dyn FnMut(&Call<'_>) -> Verdict + Send>;

#[derive(Default)]
pub(super) struct Plan {
    pub(super) commits: VecDeque<CommitFault>,
    pub(super) puts: VecDeque<PutFault>,
    pub(super) reads: VecDeque<ReadFault>,
    pub(super) director: Option<Director>,
    pub(super) never_now: bool,
    pub(super) prefetched: Vec<Place>,
    pub(super) space: Option<Space>,
    pub(super) holding: bool,
    pub(super) held: Vec<Held>,
}

impl Plan {
    fn verdict(&mut self, call: &Call<'_>) -> Verdict {
        self.director.as_mut().map_or(Verdict::Pass, |director| director(call))
    }

    pub(super) fn next_commit(&mut self, batch: &Batch) -> CommitFault {
        if let Some(planned) = self.commits.pop_front() {
            return planned;
        }
        match self.verdict(&Call::Commit(batch)) {
            Verdict::Pass => CommitFault::Pass,
            Verdict::Late(late) => CommitFault::Late(late),
            Verdict::DoneLate(late) => CommitFault::DoneLate(late),
            Verdict::Fail => CommitFault::Refuse(CommitError::Io("the disk failed".to_owned())),
            Verdict::NoSpace => CommitFault::Refuse(CommitError::NoSpace),
            Verdict::Unknown { done } => CommitFault::Unknown { done },
            Verdict::CutBefore => CommitFault::CutBefore,
            Verdict::CutAfter => CommitFault::CutAfter,
        }
    }

    pub(super) fn next_put(&mut self, call: &Call<'_>) -> PutFault {
        if let Some(planned) = self.puts.pop_front() {
            return planned;
        }
        match self.verdict(call) {
            Verdict::Pass => PutFault::Pass,
            Verdict::Late(late) | Verdict::DoneLate(late) => PutFault::Late(late),
            Verdict::Fail | Verdict::Unknown { .. } => PutFault::Refuse(failed()),
            Verdict::NoSpace => PutFault::Refuse(StorageError::NoSpace),
            Verdict::CutBefore => PutFault::CutBefore,
            Verdict::CutAfter => PutFault::Cut,
        }
    }

    pub(super) fn next_read(&mut self) -> ReadFault {
        if let Some(planned) = self.reads.pop_front() {
            return planned;
        }
        match self.verdict(&Call::Read) {
            Verdict::Pass | Verdict::NoSpace => ReadFault::Pass,
            Verdict::Late(late) | Verdict::DoneLate(late) => ReadFault::Late(late),
            Verdict::Fail | Verdict::Unknown { .. } => ReadFault::Fail(failed()),
            Verdict::CutBefore | Verdict::CutAfter => ReadFault::Cut,
        }
    }
}

fn failed() -> StorageError {
    StorageError::Io { path: "the disk".to_owned(), cause: "failed".to_owned() }
}
