//! Counters whose values are never given out twice, crashes included: the next block is reserved durably ahead
//! (Architecture section 3, "Inode").

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::{Result, core::Core, keys, operation::Operation, record::Counters};

/// Values reserved at once.
const BLOCK: u64 = 1 << 20;

/// So many values are left over whenever an operation begins: more than all queued operations can use.
const SPARE: u64 = 1 << 18;

struct Counter {
    next: AtomicU64,
    reserved: AtomicU64,
}

impl Counter {
    const fn new(next: u64) -> Self {
        Self { next: AtomicU64::new(next), reserved: AtomicU64::new(next) }
    }

    fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn left(&self) -> u64 {
        self.reserved.load(Ordering::Acquire).saturating_sub(self.next.load(Ordering::Relaxed))
    }
}

/// The counters of one file system.
pub(crate) struct CounterSet {
    change: Counter,
    fileid: Counter,
    generation: Counter,
    extent: Counter,
    /// The place in the queue of the last reservation.
    asked: AtomicU64,
}

impl CounterSet {
    pub(crate) const fn new() -> Self {
        Self {
            change: Counter::new(0),
            fileid: Counter::new(0),
            generation: Counter::new(0),
            extent: Counter::new(0),
            asked: AtomicU64::new(0),
        }
    }

    fn each(&self) -> [&Counter; 4] {
        [&self.change, &self.fileid, &self.generation, &self.extent]
    }

    /// After opening: go on behind everything that may have been used.
    pub(crate) fn start(&self, durable: Counters) {
        let values = [durable.change, durable.fileid, durable.generation, durable.extent];
        for (counter, value) in self.each().into_iter().zip(values) {
            counter.next.store(value, Ordering::Relaxed);
            counter.reserved.store(value, Ordering::Release);
        }
    }

    pub(crate) fn change(&self) -> u64 {
        self.change.take()
    }

    pub(crate) fn fileid(&self) -> u64 {
        self.fileid.take()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.take()
    }

    pub(crate) fn extent(&self) -> u64 {
        self.extent.take()
    }

    /// The id that the next extent will have at least.
    pub(crate) fn extent_next(&self) -> u64 {
        self.extent.next.load(Ordering::Relaxed)
    }

    pub(crate) fn reserved(&self, durable: Counters) {
        let values = [durable.change, durable.fileid, durable.generation, durable.extent];
        for (counter, value) in self.each().into_iter().zip(values) {
            counter.reserved.fetch_max(value, Ordering::AcqRel);
        }
    }

    fn left(&self) -> u64 {
        self.each().map(Counter::left).into_iter().min().unwrap_or(0)
    }

    /// The reservation to make next: a block beyond what each counter has reached.
    fn next_block(&self) -> Counters {
        let ahead = |counter: &Counter| counter.next.load(Ordering::Relaxed).saturating_add(BLOCK);
        Counters {
            change: ahead(&self.change),
            fileid: ahead(&self.fileid),
            generation: ahead(&self.generation),
            extent: ahead(&self.extent),
        }
    }
}

impl Core {
    /// Makes sure that an operation finds reserved values. Waits only at the first change after opening.
    pub(crate) async fn reserve_counters(&self) -> Result<()> {
        let counters = &self.counters;
        let left = counters.left();
        if left >= BLOCK / 2 {
            return Ok(());
        }
        self.ask_for_counters();
        if left < SPARE {
            self.queue.durable(counters.asked.load(Ordering::Acquire)).await?;
        }
        Ok(())
    }

    /// Queues the reservation of the next block, if none is under way.
    pub(crate) fn ask_for_counters(&self) {
        let counters = &self.counters;
        let _turn = self.reserving.lock();
        // One at a time: it becomes durable long before the spare values are used up.
        if self.queue.is_durable(counters.asked.load(Ordering::Acquire)) {
            let block = counters.next_block();
            let mut operation = Operation::new(None, None);
            operation.put(Bytes::from_static(keys::COUNTERS), block.encode());
            operation.reserved = Some(block);
            counters.asked.store(self.queue.push(operation), Ordering::Release);
        }
    }
}
