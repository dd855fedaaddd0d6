//! From the write-back buffer into the extent map (Architecture section 3, "Data").
//!
//! Up to 64 KiB goes inline into the same batch as size and times: one sync. More goes into segments first, then the
//! map: data always before metadata. Extents begin and end on the 4 KiB grid or at the end of the file; what a write
//! leaves of a block is filled in from below.

use std::sync::{Arc, atomic::Ordering};

use bytes::{Bytes, BytesMut};
use storage::Sealed;

use crate::{
    FsError, Result,
    core::Core,
    dirty::Dirty,
    file::Part,
    inode::{Inode, State},
    keys,
    names::Names,
    operation::{Change, Operation},
    record::{BLOCK, MapEntry, Source, WINDOW},
};

/// Up to so many bytes are flushed inline.
pub(crate) const INLINE_MAX: u64 = 64 << 10;

/// Taken from the buffer at once.
const PORTION: usize = 8 << 20;

/// The same in ranges, since each may grow to a block.
const PORTION_RANGES: usize = 2048;

/// A run of bytes that becomes one extent.
struct Run {
    start: u64,
    fragments: Vec<Bytes>,
    length: u64,
}

impl Run {
    const fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// Puts a portion back if the flush does not come to its end, a cancelled caller included.
struct Turn<'a> {
    core: &'a Core,
    inode: &'a Inode,
    portion: Option<Arc<Dirty>>,
}

impl Turn<'_> {
    /// Whether the portion still counts: a seal that could not wait for it has dropped it.
    fn is_current(&self, state: &State) -> bool {
        match (&self.portion, &state.file.flushing) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        }
    }

    /// The portion is in the map.
    fn done(&mut self, state: &mut State) {
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
            self.core.budget.sub_dirty(before.saturating_sub(state.file.dirty.bytes()));
            // Whoever looked through the dirty files meanwhile did not see it here.
            self.core.dirty.lock().insert(self.inode.fileid);
        }
    }
}

impl Core {
    /// Brings all data of a file that is dirty now into the queue. The place in the queue that makes it durable.
    pub(crate) async fn flush(&self, inode: &Inode) -> Result<u64> {
        loop {
            if inode.lock().file.is_clean() {
                break;
            }
            self.queue.check()?;
            self.reserve_counters().await?;
            let admission = self.queue.admit().await;
            let _turn = inode.flushing.lock().await;
            let portion = {
                let mut state = inode.lock();
                if state.gone {
                    let dropped = std::mem::take(&mut state.file.dirty);
                    self.budget.sub_dirty(dropped.bytes());
                }
                if state.file.dirty.is_empty() {
                    break;
                }
                let portion = Arc::new(state.file.dirty.take_some(PORTION, PORTION_RANGES));
                state.file.flushing = Some(portion.clone());
                portion
            };
            let mut turn = Turn { core: self, inode, portion: Some(portion.clone()) };
            let flushed = self.flush_portion(inode, &portion, Operation::new(admission, None), &mut turn).await;
            if let Err(error) = flushed {
                let mut state = inode.lock();
                if state.gone {
                    // Removed meanwhile: there is nothing to flush into.
                    turn.done(&mut state);
                    continue;
                }
                drop(state);
                return Err(self.flush_failed(inode, error, turn));
            }
        }
        let state = inode.lock();
        if state.file.dirty.is_empty() {
            drop(state);
            self.dirty.lock().remove(&inode.fileid);
            let state = inode.lock();
            if !state.file.dirty.is_empty() {
                self.dirty.lock().insert(inode.fileid);
            }
            return Ok(state.unsynced);
        }
        Ok(state.unsynced)
    }

    /// A seal keeps the data for its own flush; any other failure drops the portion, and the writers are told.
    fn flush_failed(&self, inode: &Inode, error: FsError, mut turn: Turn<'_>) -> FsError {
        if matches!(error, FsError::Sealed(_) | FsError::Failed | FsError::Delay) {
            return error;
        }
        tracing::error!(file_system = %self.id, fileid = inode.fileid, %error, "a flush failed: unstable data is dropped");
        let mut state = inode.lock();
        turn.done(&mut state);
        state.file.flush_failed = true;
        let size = state.file.flushed_size.max(state.file.dirty.end());
        if let Some(record) = &mut state.record {
            record.size = size;
        }
        drop(state);
        self.change_verifier();
        error
    }

    async fn flush_portion(
        &self,
        inode: &Inode,
        portion: &Dirty,
        operation: Operation,
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        self.load(inode).await?;
        let runs = self.runs(inode, portion).await?;
        let mut extents = Vec::with_capacity(runs.len());
        let mut sealed = Vec::with_capacity(runs.len());
        for run in &runs {
            let (extent, bytes) = self.seal_extent(inode.fileid, &run.fragments)?;
            extents.push(MapEntry { start: run.start, length: narrow(run.length), first_piece: 0, extent });
            sealed.push(bytes);
        }
        let inline = runs.iter().map(|run| run.length).sum::<u64>() <= INLINE_MAX;
        if !inline {
            self.check_space()?;
            let puts = sealed.iter().map(|bytes| Sealed::from(bytes.clone())).collect();
            let places = self.segments.put(puts).await?;
            for (entry, place) in extents.iter_mut().zip(places) {
                entry.extent.source = Source::Segment(place);
            }
        }
        self.map_portion(inode, (portion.end(), extents, sealed, inline), operation, turn).await
    }

    /// Puts sealed extents into the map, window by window.
    async fn map_portion(
        &self,
        inode: &Inode,
        (end, extents, sealed, inline): (u64, Vec<MapEntry>, Vec<Bytes>, bool),
        first: Operation,
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        let names = self.keys.names()?;
        loop {
            let missing = {
                let mut state = inode.lock();
                if !turn.is_current(&state) {
                    return Err(self.keys.sealed());
                }
                let missing = extents.iter().find_map(|entry| state.file.missing_window(entry.start, entry.end()));
                if missing.is_none() {
                    let mut operation = first;
                    let mut window = None;
                    for (entry, bytes) in extents.iter().zip(&sealed) {
                        // Inline flushes are small enough for one operation; others get one for each window.
                        if !inline
                            && window.replace(entry.start / WINDOW).is_some_and(|last| last != entry.start / WINDOW)
                        {
                            let part = std::mem::replace(&mut operation, Operation::new(None, None));
                            self.enqueue_part(&mut state, &names, part, entry.start);
                        }
                        state.replace_map(&names, (entry.start, entry.end()), Some(*entry), &mut operation)?;
                        if inline {
                            let key = keys::inline(inode.fileid, entry.extent.id);
                            operation.push(Change::PutInline(key, bytes.clone()));
                            operation.settled.push(entry.extent.id);
                            self.fresh.lock().insert(entry.extent.id, bytes.clone());
                        }
                    }
                    self.enqueue_part(&mut state, &names, operation, end);
                    turn.done(&mut state);
                    return Ok(());
                }
                missing
            };
            if let Some(window) = missing {
                self.load_window(inode, window).await?;
            }
        }
    }

    /// All bytes below `end` that this flush had are in the operation.
    fn enqueue_part(&self, state: &mut State, names: &Names, mut operation: Operation, end: u64) {
        let size = state.record.as_ref().map_or(0, |record| record.size);
        state.file.flushed_size = state.file.flushed_size.max(end.min(size));
        state.put_record(names, &mut operation);
        let position = self.queue.push(operation);
        state.entered(position);
    }

    /// The portion as runs that begin on the grid, end on it or at the end of the file, and cross no window.
    async fn runs(&self, inode: &Inode, portion: &Dirty) -> Result<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        for (offset, data) in portion.ranges() {
            let mut at = offset;
            let mut data = data.clone();
            // Up to the next window at a time.
            while !data.is_empty() {
                let room = WINDOW - at % WINDOW;
                let take = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                self.lay(inode, &mut runs, at, data.split_to(take)).await?;
                at += take as u64;
            }
        }
        if let Some(last) = runs.last_mut() {
            self.fill_tail(inode, last).await?;
        }
        Ok(runs)
    }

    /// Appends bytes to the last run if they are in the same or the next block of the same window, else begins a run.
    async fn lay(&self, inode: &Inode, runs: &mut Vec<Run>, at: u64, data: Bytes) -> Result<()> {
        if let Some(last) = runs.last_mut() {
            let end = last.end();
            let same_window = last.start / WINDOW == at / WINDOW;
            if same_window && at <= end.next_multiple_of(BLOCK) {
                if at > end {
                    let filler = self.below(inode, end, at).await?;
                    last.length += filler.len() as u64;
                    last.fragments.push(filler);
                }
                last.length += data.len() as u64;
                last.fragments.push(data);
                return Ok(());
            }
            self.fill_tail(inode, last).await?;
        }
        let start = at - at % BLOCK;
        let mut run = Run { start, fragments: Vec::with_capacity(2), length: at - start + data.len() as u64 };
        if at > start {
            run.fragments.push(self.below(inode, start, at).await?);
        }
        run.fragments.push(data);
        runs.push(run);
        Ok(())
    }

    /// Fills the last block of a run as far as the file goes.
    async fn fill_tail(&self, inode: &Inode, run: &mut Run) -> Result<()> {
        let end = run.end();
        let size = inode.lock().record()?.size;
        let to = end.next_multiple_of(BLOCK).min(size);
        if to > end {
            let filler = self.below(inode, end, to).await?;
            run.length += filler.len() as u64;
            run.fragments.push(filler);
        }
        Ok(())
    }

    /// What the extent map says for `from..to` (within a window).
    async fn below(&self, inode: &Inode, from: u64, to: u64) -> Result<Bytes> {
        let mut out = BytesMut::zeroed(usize::try_from(to - from).unwrap_or(0));
        let entries: Vec<MapEntry> = loop {
            let missing = {
                let state = inode.lock();
                match state.file.missing_window(from, to) {
                    None => break state.file.entries(from, to).copied().collect(),
                    missing => missing,
                }
            };
            if let Some(window) = missing {
                self.load_window(inode, window).await?;
            }
        };
        // Whoever changes the map holds `flushing`, and so do we: the entries stay.
        for entry in entries {
            self.read_part(inode.fileid, &Part::Extent(entry), (from, to), &mut out).await?;
        }
        Ok(out.freeze())
    }

    /// Flushes every file.
    pub(crate) async fn flush_all(&self) -> Result<()> {
        let dirty: Vec<u64> = self.dirty.lock().iter().copied().collect();
        let mut result = Ok(());
        for fileid in dirty {
            if let Some(inode) = self.cache.peek(fileid) {
                result = result.and(self.flush(&inode).await.map(drop));
            }
        }
        result
    }

    /// Flushes what is older than the settings allow, and more when memory is short.
    pub(crate) async fn flush_old(&self) {
        let now = self.env.now();
        let dirty: Vec<u64> = self.dirty.lock().iter().copied().collect();
        for fileid in dirty {
            let Some(inode) = self.cache.peek(fileid) else { continue };
            let old = {
                let state = inode.lock();
                state.file.dirty_since.is_none_or(|since| now.since(since) >= self.settings.dirty_age)
            };
            if old || self.budget.is_tight() {
                // Whoever wrote is told by the verifier and by COMMIT.
                let _ = self.flush(&inode).await;
            }
        }
    }

    /// Drops all unstable data, also what is on its way into the map; clients write it again when they see the new
    /// verifier.
    pub(crate) fn drop_dirty(&self) {
        let dirty = std::mem::take(&mut *self.dirty.lock());
        for fileid in dirty {
            let Some(inode) = self.cache.peek(fileid) else { continue };
            let mut state = inode.lock();
            let dropped = std::mem::take(&mut state.file.dirty).bytes();
            let dropped = dropped + state.file.flushing.take().map_or(0, |portion| portion.bytes());
            self.budget.sub_dirty(dropped);
            state.file.flush_failed |= dropped > 0;
            let size = state.file.flushed_size;
            if let Some(record) = &mut state.record
                && dropped > 0
            {
                record.size = size;
            }
        }
        self.change_verifier();
    }

    /// Verifier of UNSTABLE writes.
    pub(crate) fn verifier_bytes(&self) -> [u8; 8] {
        self.verifier.load(Ordering::Acquire).to_be_bytes()
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
