//! What there is in segments, what of it is dead, and which segments are worth emptying.

use std::collections::HashSet;

use storage::SegmentId;

use crate::{Result, core::Core};

/// The live bytes that one pass moves at most.
const MOVED_MAX: u64 = 512 << 20;

/// The same on a full disk, where the copies take of the reserve until what they were made from is deleted.
const MOVED_MAX_FULL: u64 = 32 << 20;

/// A segment that is fuller than this of what is alive is not worth the copying, in sixteenths.
const FULL: u64 = 13;

/// How much is done, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// Clients work: some dead space is put up with, since the longer it gathers in a segment, the less is left to move.
    Busy,
    /// Nobody minds.
    Idle,
    /// The disk is full: all space that can be had is worth it.
    Full,
}

/// A segment that is written no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) id: SegmentId,
    /// Bytes on the disk.
    pub(super) bytes: u64,
    /// What the map names of it, as of the last batch that was built.
    pub(super) live: u64,
}

/// All segments.
#[derive(Debug, Default)]
pub(super) struct Stock {
    pub(super) closed: Vec<Closed>,
    /// Live bytes of the one being written.
    pub(super) open_live: u64,
    /// Counted with nothing alive, and not there any more.
    pub(super) missing: Vec<SegmentId>,
}

/// Segments to empty.
#[derive(Debug, Default)]
pub(super) struct Victims {
    pub(super) segments: HashSet<SegmentId>,
    /// So much is dead that clients have to give way.
    pub(super) urgent: bool,
}

impl Stock {
    /// Segments that the map does not name.
    pub(super) fn dead(&self) -> Vec<SegmentId> {
        self.closed.iter().filter(|closed| closed.live == 0).map(|closed| closed.id).collect()
    }

    pub(super) fn without(mut self, gone: &[SegmentId]) -> Self {
        self.closed.retain(|closed| !gone.contains(&closed.id));
        self
    }

    fn live(&self) -> u64 {
        self.closed.iter().map(|closed| closed.live).sum::<u64>() + self.open_live
    }

    pub(super) fn dead_bytes(&self) -> u64 {
        self.closed.iter().map(|closed| closed.bytes.saturating_sub(closed.live)).sum()
    }

    /// The segments to empty now: those with the least in them first, until so little is dead as will do.
    pub(super) fn victims(&self, effort: Effort, slack: u64) -> Victims {
        let (live, mut dead) = (self.live(), self.dead_bytes());
        let (begin, end) = match effort {
            Effort::Busy => (live / 8 * 7 + slack, live / 4 * 3 + slack / 2),
            Effort::Idle => (live / 4 + slack, live / 8 + slack / 2),
            Effort::Full => (slack / 8, slack / 16),
        };
        if dead <= begin {
            return Victims::default();
        }
        let urgent = match effort {
            Effort::Busy => dead > live + slack,
            Effort::Idle => false,
            Effort::Full => true,
        };
        let moved_max = if effort == Effort::Full { MOVED_MAX_FULL } else { MOVED_MAX };
        let mut sorted: Vec<&Closed> = self.closed.iter().filter(|closed| worthwhile(closed)).collect();
        sorted.sort_by_key(|closed| closed.live.saturating_mul(1024) / closed.bytes.max(1));
        let mut segments = HashSet::new();
        let mut moved = 0;
        for closed in sorted {
            if dead <= end {
                break;
            }
            // The emptiest is emptied, however much it takes.
            if !segments.is_empty() && moved + closed.live > moved_max {
                break;
            }
            moved += closed.live;
            dead -= closed.bytes.saturating_sub(closed.live).min(dead);
            segments.insert(closed.id);
        }
        Victims { segments, urgent }
    }
}

fn worthwhile(closed: &Closed) -> bool {
    closed.live.saturating_mul(16) <= closed.bytes.saturating_mul(FULL)
}

impl Core {
    /// Looks at the segments on the disk and at what is counted.
    pub(super) async fn take_stock(&self) -> Result<Stock> {
        let epoch = self.segments.epoch();
        let listed = self.segments.list(epoch.saturating_add(1)).await?;
        // Numbers grow: the last of this opening may still be written.
        let open = listed.last().map(|(id, _)| *id).filter(|id| id.epoch() == epoch);
        let stuck = self.cleaner.stuck.lock().clone();
        let totals = self.totals.lock();
        let live = |id: &SegmentId| totals.live.get(id).copied().unwrap_or(0);
        let mut stock = Stock::default();
        let there: HashSet<SegmentId> = listed.iter().map(|(id, _)| *id).collect();
        for (id, bytes) in listed {
            match u64::try_from(live(&id)) {
                Ok(live) if Some(id) == open => stock.open_live = live,
                Ok(live) if !stuck.contains(&id) => stock.closed.push(Closed { id, bytes, live }),
                Ok(_) => {}
                Err(_) => {
                    self.cleaner.stuck.lock().insert(id);
                    tracing::error!(file_system = %self.id, segment = ?id, "live bytes are counted wrongly; see `coffer fsck`");
                }
            }
        }
        let gone = totals.live.iter().filter(|(id, live)| **live == 0 && !there.contains(id) && Some(**id) != open);
        // Of this opening only what is older than the newest: that one may not have its name yet.
        stock.missing =
            gone.map(|(id, _)| *id).filter(|id| id.epoch() < epoch || open.is_some_and(|open| *id < open)).collect();
        Ok(stock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const SLACK: u64 = 48 * MIB;

    fn stock(closed: &[(u64, u64)]) -> Stock {
        let closed = (0..).zip(closed).map(|(number, &(bytes, live))| Closed {
            id: SegmentId::new(1, number),
            bytes: bytes * MIB,
            live: live * MIB,
        });
        Stock { closed: closed.collect(), ..Stock::default() }
    }

    fn numbers(victims: &Victims) -> Vec<u32> {
        let mut numbers: Vec<u32> = victims.segments.iter().map(|segment| segment.number()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Architecture section 3: the emptiest go first, no more than needed, and full ones stay.
    #[test]
    fn the_emptiest_segments_go_first() {
        let found = stock(&[(128, 128), (128, 20), (128, 60), (128, 0), (128, 110)]);
        assert_eq!(found.dead(), [SegmentId::new(1, 3)]);
        let found = found.without(&[SegmentId::new(1, 3)]);
        assert_eq!(numbers(&found.victims(Effort::Busy, SLACK)), [] as [u32; 0]);
        assert_eq!(numbers(&found.victims(Effort::Idle, SLACK)), [1, 2]);
        let full = stock(&[(128, 120), (128, 119), (128, 118), (128, 117)]);
        assert!(full.victims(Effort::Idle, SLACK).segments.is_empty());
        let few = stock(&[(64, 60), (64, 50), (64, 40), (64, 50)]);
        assert!(few.victims(Effort::Idle, SLACK).segments.is_empty());
        assert_eq!(numbers(&few.victims(Effort::Full, SLACK)), [2], "little at a time on a full disk");
    }

    /// docs/operations.md, "Space": dead space never outgrows the live by much, and clients give way then.
    #[test]
    fn clients_give_way_when_much_is_dead() {
        let mut rows = vec![(128, 40); 20];
        rows.push((128, 30));
        let victims = stock(&rows).victims(Effort::Busy, SLACK);
        assert!(victims.urgent && numbers(&victims).contains(&20), "{victims:?}");
        assert!(!stock(&[(128, 64); 4]).victims(Effort::Busy, SLACK).urgent);
    }
}
