//! What a flush holds while it runs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    core::Core,
    dirty::Dirty,
    inode::{Inode, State},
};

/// Counts a flush among those that wait for their file.
pub(super) struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    pub(super) fn begin(flushes: &'a AtomicUsize) -> Self {
        flushes.fetch_add(1, Ordering::Relaxed);
        Self(flushes)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Puts a portion back if the flush does not come to its end, a cancelled caller included.
pub(super) struct Turn<'a> {
    pub(super) core: &'a Core,
    pub(super) inode: &'a Inode,
    pub(super) portion: Option<Arc<Dirty>>,
}

impl Turn<'_> {
    /// Whether the portion still counts: a seal that could not wait for it has dropped it.
    pub(super) fn is_current(&self, state: &State) -> bool {
        match (&self.portion, &state.file.flushing) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        }
    }

    /// The portion is in the map.
    pub(super) fn done(&mut self, state: &mut State) {
        let current = self.is_current(state);
        if let Some(portion) = self.portion.take()
            && current
        {
            state.file.flushing = None;
            self.core.budget.sub_dirty(portion.bytes());
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.portion.is_none() {
            return;
        }
        let mut state = self.inode.lock();
        let current = self.is_current(&state);
        if let Some(portion) = self.portion.take()
            && current
        {
            state.file.flushing = None;
            if self.core.queue.check().is_err() {
                // Nobody flushes it any more.
                self.core.budget.sub_dirty(portion.bytes());
                return;
            }
            let before = state.file.dirty.bytes() + portion.bytes();
            state.file.dirty.put_beneath((*portion).clone());
            // What was written over meanwhile is no longer there twice.
            self.core.budget.change_dirty(before, state.file.dirty.bytes());
            // Whoever looked through the dirty files meanwhile did not see it here.
            self.core.is_dirty(self.inode.fileid);
        }
    }
}
