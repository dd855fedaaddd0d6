//! The algebra of byte ranges: taking, giving back, and what is in the way. RFC 8881, sections 9.5 and 18.10 to 18.12.

use std::sync::Arc;

use crate::client::ClientKey;
use crate::error::StateError;

/// A lock owner among all clients.
pub(crate) type OwnerName = (ClientKey, Arc<[u8]>);

/// Bytes `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Range {
    /// Reads offset and length; a length of all ones means "to the end of the file, wherever it will be".
    pub(crate) fn read(offset: u64, length: u64) -> Result<Self, StateError> {
        match length {
            0 => Err(StateError::Invalid),
            u64::MAX => Ok(Self { first: offset, last: u64::MAX }),
            _ => {
                let last = offset.checked_add(length.saturating_sub(1)).ok_or(StateError::Invalid)?;
                Ok(Self { first: offset, last })
            }
        }
    }

    /// The length as the wire has it.
    pub(crate) const fn length(self) -> u64 {
        match self.last {
            u64::MAX => u64::MAX,
            last => last.saturating_sub(self.first).saturating_add(1),
        }
    }

    const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether the two are one range when put together.
    const fn joins(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }

    /// What is left of `self` before and behind `hole`.
    fn without(self, hole: Self) -> [Option<Self>; 2] {
        let before = hole.first.checked_sub(1).filter(|last| *last >= self.first).map(|last| Self { last, ..self });
        let behind = hole.last.checked_add(1).filter(|first| *first <= self.last).map(|first| Self { first, ..self });
        [
            before.map(|range| Self { last: range.last.min(self.last), ..range }),
            behind.map(|range| Self { first: range.first.max(self.first), ..range }),
        ]
    }
}

/// A byte-range lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) owner: OwnerName,
    /// The lock stateid that it belongs to.
    pub(crate) state: u64,
    pub(crate) range: Range,
    pub(crate) write: bool,
}

/// The locks of others that stand against this one.
pub(crate) fn conflicts<'a>(
    held: &'a [Held],
    owner: &'a OwnerName,
    range: Range,
    write: bool,
) -> impl Iterator<Item = &'a Held> + 'a {
    held.iter().filter(move |lock| (write || lock.write) && lock.range.overlaps(range) && lock.owner != *owner)
}

/// Takes the range for the owner: what it held there before is replaced, neighbours of the same kind become one.
pub(crate) fn take(held: &mut Vec<Held>, owner: &OwnerName, state: u64, range: Range, write: bool) {
    give_back(held, owner, range);
    let mut whole = range;
    held.retain(|lock| {
        let merges = lock.owner == *owner && lock.state == state && lock.write == write && lock.range.joins(whole);
        if merges {
            whole = Range { first: whole.first.min(lock.range.first), last: whole.last.max(lock.range.last) };
        }
        !merges
    });
    held.push(Held { owner: owner.clone(), state, range: whole, write });
}

/// Whether giving the range back leaves two locks where there was one.
pub(crate) fn splits(held: &[Held], owner: &OwnerName, range: Range) -> bool {
    let mut own = held.iter().filter(|lock| lock.owner == *owner);
    own.any(|lock| lock.range.first < range.first && range.last < lock.range.last)
}

/// Gives the range back: what the owner holds there is cut.
pub(crate) fn give_back(held: &mut Vec<Held>, owner: &OwnerName, range: Range) {
    let mut rests = Vec::new();
    held.retain(|lock| {
        let cut = lock.owner == *owner && lock.range.overlaps(range);
        if cut {
            let kept = lock.range.without(range).into_iter().flatten();
            rests.extend(kept.map(|range| Held { range, ..lock.clone() }));
        }
        !cut
    });
    held.append(&mut rests);
}
