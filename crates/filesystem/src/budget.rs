//! What all file systems of a process may use together (Architecture section 4, "Process budgets").

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Bounds on memory, and the count of unstable bytes.
pub struct Budget {
    /// Inodes kept in memory by each file system.
    pub inodes_max: usize,
    /// Directory slots and map entries kept in memory by each file system.
    pub entries_max: usize,
    /// Unstable bytes in all file systems.
    pub dirty_bytes_max: usize,
    /// Plaintext bytes cached by each file system.
    pub plaintext_bytes_max: usize,
    dirty: AtomicUsize,
    flushed: Notify,
}

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
            dirty: AtomicUsize::new(0),
            flushed: Notify::new(),
        }
    }

    /// Unstable bytes now.
    #[must_use]
    pub fn dirty_bytes(&self) -> usize {
        self.dirty.load(Ordering::Relaxed)
    }

    pub(crate) fn add_dirty(&self, bytes: usize) {
        self.dirty.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub_dirty(&self, bytes: usize) {
        if bytes > 0 {
            self.dirty.fetch_sub(bytes, Ordering::Relaxed);
            self.flushed.notify_waiters();
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.dirty_bytes() >= self.dirty_bytes_max
    }

    /// More than half is used: flush in the background.
    pub(crate) fn is_tight(&self) -> bool {
        self.dirty_bytes() >= self.dirty_bytes_max / 2
    }

    pub(crate) async fn room(&self) {
        loop {
            let flushed = self.flushed.notified();
            if !self.is_full() {
                return;
            }
            flushed.await;
        }
    }
}
