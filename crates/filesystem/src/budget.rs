//! What all file systems of a process may use together (Architecture section 4, "Process budgets").

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

/// Bounds on memory, and how much of it is used, over all file systems that share this.
pub struct Budget {
    /// Inodes kept in memory. Those in use count too, and may be more.
    pub inodes_max: usize,
    /// Directory slots, map windows and map entries kept in memory. Those not durable yet count too.
    pub entries_max: usize,
    /// Bytes of unstable data, with what it takes to keep them, until they are in segments or durable.
    pub dirty_bytes_max: usize,
    /// Plaintext bytes cached.
    pub plaintext_bytes_max: usize,
    inodes: AtomicUsize,
    entries: AtomicUsize,
    dirty: AtomicUsize,
    flushed: Notify,
    /// Wakes the janitors that rest: inodes or entries have come to their bounds.
    pub(crate) pressed: Notify,
    sealing: Semaphore,
    /// Plaintext caches that hold something.
    pub(crate) plain_caches: AtomicUsize,
}

/// Sealed bytes on their way into segments, all flushes together: beside the plaintext, which stays until the map names them.
const SEALING_KIB_MAX: u32 = 32 << 10;

impl Default for Budget {
    fn default() -> Self {
        Self::new(100_000, 400_000, 64 << 20, 32 << 20)
    }
}

impl Budget {
    /// The four bounds, in the order of the fields.
    #[must_use]
    pub fn new(inodes_max: usize, entries_max: usize, dirty_bytes_max: usize, plaintext_bytes_max: usize) -> Self {
        Self {
            inodes_max,
            entries_max,
            dirty_bytes_max,
            plaintext_bytes_max,
            inodes: AtomicUsize::new(0),
            entries: AtomicUsize::new(0),
            dirty: AtomicUsize::new(0),
            flushed: Notify::new(),
            pressed: Notify::new(),
            sealing: Semaphore::new(SEALING_KIB_MAX as usize),
            plain_caches: AtomicUsize::new(0),
        }
    }

    /// Inodes in memory now.
    #[must_use]
    pub fn inodes(&self) -> usize {
        self.inodes.load(Ordering::Relaxed)
    }

    /// Directory slots, map windows and map entries in memory now.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Unstable bytes now.
    #[must_use]
    pub fn dirty_bytes(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    /// What counted as `before` counts as `after` now.
    pub(crate) fn change_dirty(&self, before: usize, after: usize) {
        if after > before {
            self.dirty.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.sub_dirty(before - after);
        }
    }

    pub(crate) fn sub_dirty(&self, bytes: usize) {
        if bytes > 0 {
            let _ = self.dirty.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |dirty| {
                debug_assert!(dirty >= bytes, "more is given back than was counted");
                Some(dirty.saturating_sub(bytes))
            });
            self.flushed.notify_waiters();
        }
    }

    /// Counts bytes that are about to be written, if there is room; at most one write goes over the bound.
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reserved<'_>> {
        let reserved = self.dirty.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |dirty| {
            (dirty < self.dirty_bytes_max).then(|| dirty.saturating_add(bytes))
        });
        // Made only if it was counted, since it gives back when it goes.
        reserved.ok().map(|_| Reserved { budget: self, bytes })
    }

    /// Waits for room for so many sealed bytes. Whoever holds it waits for nothing but the disk.
    pub(crate) async fn sealing(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).min(SEALING_KIB_MAX);
        // It is never closed.
        self.sealing.acquire_many(kib).await.ok()
    }

    /// More than half is used: flush in the background.
    pub(crate) fn is_tight(&self) -> bool {
        self.dirty_bytes() >= self.dirty_bytes_max / 2
    }

    pub(crate) fn inodes_full(&self) -> bool {
        self.inodes() >= self.inodes_max
    }

    /// Caches have to give something back.
    pub(crate) fn is_pressed(&self) -> bool {
        self.inodes_full() || self.entries() > self.entries_max
    }

    /// Waits until bytes are given back, if there is no room now.
    pub(crate) async fn room(&self) {
        let flushed = self.flushed.notified();
        if self.dirty_bytes() >= self.dirty_bytes_max {
            flushed.await;
        }
    }
}

/// Room for a write that is about to be counted itself.
pub(crate) struct Reserved<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.budget.sub_dirty(self.bytes);
    }
}

/// Unstable bytes that stay in memory on their way to the shard, counted until this is dropped.
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    pub(crate) fn new(budget: &Arc<Budget>, bytes: usize) -> Self {
        budget.change_dirty(0, bytes);
        Self { budget: budget.clone(), bytes }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.sub_dirty(self.bytes);
    }
}

/// What one inode in memory counts for.
pub(crate) struct Cached {
    budget: Arc<Budget>,
    entries: usize,
}

impl Cached {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        if budget.inodes.fetch_add(1, Ordering::Relaxed) + 1 == budget.inodes_max {
            budget.pressed.notify_waiters();
        }
        Self { budget, entries: 0 }
    }

    /// It has so many entries now.
    pub(crate) fn set_entries(&mut self, entries: usize) {
        if entries > self.entries {
            let more = entries - self.entries;
            let before = self.budget.entries.fetch_add(more, Ordering::Relaxed);
            if before <= self.budget.entries_max && before + more > self.budget.entries_max {
                self.budget.pressed.notify_waiters();
            }
        } else {
            self.budget.entries.fetch_sub(self.entries - entries, Ordering::Relaxed);
        }
        self.entries = entries;
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.set_entries(0);
        self.budget.inodes.fetch_sub(1, Ordering::Relaxed);
    }
}
