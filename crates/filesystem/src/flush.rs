//! From the write-back buffer into the extent map (Architecture section 3, "Data").
//!
//! Up to 64 KiB goes inline into the same batch as size and times: one sync. More, and everything while many wait, goes
//! into segments first, then the map: data always before metadata. Extents begin and end on the 4 KiB grid or at the end of the file; what a write
//! leaves of a block is filled in from below.

mod runs;
mod turn;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use bytes::Bytes;
use storage::Sealed;

use self::turn::{Turn, Waits};
use crate::{
    FsError, Result,
    budget::Charge,
    cleaner::Packed,
    core::Core,
    dirty::Dirty,
    inode::{Inode, State},
    keys,
    names::Names,
    operation::{Change, Operation},
    record::{MapEntry, Source, WINDOW},
};

/// Up to so many bytes are flushed inline.
pub(crate) const INLINE_MAX: u64 = 64 << 10;

/// From so many operations that are not durable yet, and flushes that wait for their file, nothing is flushed inline.
const BUSY: usize = 10;

/// Taken from the buffer at once.
const PORTION: usize = 8 << 20;

/// The same in ranges, since each may grow to a block.
const PORTION_RANGES: usize = 2048;

/// Files that are flushed side by side, so that they share syncs.
const FILES_AT_ONCE: usize = 24;

/// Which room on the disk a flush may use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// All but the reserve: beyond it the data is dropped, and whoever wrote it is told.
    Free,
    /// The reserve too, if it is not much: the data would be lost otherwise.
    Reserve,
}

/// Sealed extents of one portion, on their way into the map.
struct Sealing {
    /// Where the portion ends.
    end: u64,
    extents: Vec<MapEntry>,
    /// As many, if they go inline.
    sealed: Vec<Bytes>,
    inline: bool,
}

impl Core {
    /// Brings all data of a file that is dirty now into the queue. The place in the queue that makes it durable.
    ///
    /// What is written meanwhile is left alone: this goes once over the file, so that it ends however busy the writers are.
    ///
    /// # Errors
    /// What kept data from being flushed that was dirty then; also if it was somebody else's flush that dropped it.
    pub(crate) async fn flush(&self, inode: &Inode) -> Result<u64> {
        let losses = inode.lock().file.losses;
        self.flush_into(inode, Room::Free, losses).await
    }

    /// The same for whoever wrote when the file had lost data so many times.
    pub(crate) async fn flush_into(&self, inode: &Inode, room: Room, losses: u64) -> Result<u64> {
        let wanted = {
            let state = inode.lock();
            if state.file.is_clean() {
                let unsynced = state.unsynced;
                self.check_losses(&state, losses)?;
                drop(state);
                self.forget_if_clean(inode);
                return Ok(unsynced);
            }
            state.file.written
        };
        let mut waits = Some(Waits::begin(&self.flushes));
        // Before the place in the queue: see `Queue::admit`.
        let _turn = inode.flushing.lock().await;
        let (mut from, to, begun) = {
            let mut state = inode.lock();
            let file = &mut state.file;
            // Somebody else's pass may have taken it along.
            let to = if file.flushed >= wanted { 0 } else { file.dirty.end() };
            file.dirty_since = Some(self.env.now());
            (0, to, file.written)
        };
        while from < to {
            self.queue.check()?;
            self.reserve_counters().await?;
            let admission = self.queue.admit().await;
            // Counted there from now on.
            drop(waits.take());
            let Some(portion) = self.take_portion(inode, (from, to)) else { break };
            from = portion.end();
            let mut turn = Turn { core: self, inode, portion: Some(portion.clone()) };
            let operation = Operation::new(admission, None);
            if let Err(error) = self.flush_portion(inode, &portion, (operation, room), &mut turn).await {
                let mut state = inode.lock();
                if !state.is_gone() {
                    drop(state);
                    return Err(self.flush_failed(inode, error, turn));
                }
                // Removed meanwhile: there is nothing to flush into.
                turn.done(&mut state);
            }
        }
        let unsynced = {
            let mut state = inode.lock();
            if to > 0 {
                state.file.flushed = begun;
            }
            self.check_losses(&state, losses)?;
            state.unsynced
        };
        self.forget_if_clean(inode);
        Ok(unsynced)
    }

    /// So many wait for the disk that a second sync costs each of them little, since they share it. Then the bytes that
    /// inline data writes twice, and the packer's work, cost more.
    fn is_busy(&self) -> bool {
        self.flushes.load(Ordering::Relaxed) + self.queue.admitted() >= BUSY
    }

    /// What is no longer in the buffer is in the map, unless it was dropped meanwhile.
    fn check_losses(&self, state: &State, losses: u64) -> Result<()> {
        self.queue.check()?;
        match &state.file.lost_to {
            Some(why) if state.file.losses != losses => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// Takes the next portion out of the buffer, if there is anything left.
    fn take_portion(&self, inode: &Inode, range: (u64, u64)) -> Option<Arc<Dirty>> {
        let mut state = inode.lock();
        if state.is_gone() {
            let dropped = std::mem::take(&mut state.file.dirty);
            self.budget.sub_dirty(dropped.bytes());
            return None;
        }
        let before = state.file.dirty.bytes();
        let portion = Arc::new(state.file.dirty.take_some(range, PORTION, PORTION_RANGES));
        // Cutting a range in two takes a little more.
        self.budget.change_dirty(before, state.file.dirty.bytes() + portion.bytes());
        if portion.is_empty() {
            return None;
        }
        state.file.flushing = Some(portion.clone());
        Some(portion)
    }

    /// A file without unstable data is on the list of those with some no more.
    fn forget_if_clean(&self, inode: &Inode) {
        self.dirty.lock().remove(&inode.fileid);
        let state = inode.lock();
        if !state.file.dirty.is_empty() {
            self.is_dirty(inode.fileid);
        }
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
        state.file.losses += 1;
        state.file.lost_to = Some(error.clone());
        let size = state.file.flushed_size.max(state.file.dirty.end());
        if let Some(record) = &mut state.record {
            record.size = size;
            // The content is not what it was when the value before was shown.
            record.change = self.counters.change();
        }
        drop(state);
        self.change_verifier();
        error
    }

    async fn flush_portion(
        &self,
        inode: &Inode,
        portion: &Dirty,
        (operation, room): (Operation, Room),
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        if room == Room::Free {
            self.check_space()?;
        }
        self.load(inode).await?;
        let runs = self.runs(inode, portion).await?;
        let bytes = runs.iter().map(|run| run.length).sum::<u64>();
        let inline = !self.is_busy() && bytes <= INLINE_MAX;
        let room = if inline { None } else { self.budget.sealing(bytes).await };
        let mut extents = Vec::with_capacity(runs.len());
        let mut sealed = Vec::with_capacity(runs.len());
        for run in &runs {
            let (extent, bytes) = self.seal_extent(inode.fileid, &run.fragments)?;
            extents.push(MapEntry { start: run.start, length: narrow(run.length), first_piece: 0, extent });
            sealed.push(bytes);
        }
        // Until the map names them: the segment must not go before.
        let _placing = (!inline).then(|| self.cleaner.placing.begin());
        if !inline {
            let puts = std::mem::take(&mut sealed).into_iter().map(Sealed::from).collect();
            let places = self.segments.put(puts).await?;
            self.cleaner.put(places.iter().map(|place| place.length as usize).sum(), self.settings.dead_slack_bytes);
            for (entry, place) in extents.iter_mut().zip(places) {
                entry.extent.source = Source::Segment(place);
            }
        }
        drop(room);
        self.map_portion(inode, Sealing { end: portion.end(), extents, sealed, inline }, operation, turn).await
    }

    /// Puts sealed extents into the map, window by window.
    async fn map_portion(
        &self,
        inode: &Inode,
        Sealing { end, extents, sealed, inline }: Sealing,
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
                    for (nth, entry) in extents.iter().enumerate() {
                        // Inline flushes are small enough for one operation; others get one for each window.
                        if !inline
                            && window.replace(entry.start / WINDOW).is_some_and(|last| last != entry.start / WINDOW)
                        {
                            let part = std::mem::replace(&mut operation, Operation::new(None, None));
                            self.enqueue_part(&mut state, &names, part, (entry.start, true));
                        }
                        state.replace_map(&names, (entry.start, entry.end()), Some(*entry), &mut operation)?;
                        if let Some(bytes) = sealed.get(nth) {
                            let key = keys::inline(inode.fileid, entry.extent.id);
                            operation.push(Change::PutInline(key, bytes.clone()));
                            operation.settled.push(entry.extent.id);
                            self.fresh.lock().insert(entry.extent.id, bytes.clone());
                        }
                    }
                    if inline {
                        // The sealed bytes stay in memory as long as the plaintext would have.
                        let bytes = sealed.iter().map(Bytes::len).sum();
                        operation.charge = Some(Charge::new(&self.budget, bytes));
                    }
                    self.enqueue_part(&mut state, &names, operation, (end, false));
                    turn.done(&mut state);
                    self.cleaner.placed(extents.len());
                    if inline {
                        self.placed_inline(inode, &extents);
                    }
                    return Ok(());
                }
                missing
            };
            if let Some(window) = missing {
                self.load_window(inode, window).await?;
            }
        }
    }

    /// Tells the packer.
    fn placed_inline(&self, inode: &Inode, extents: &[MapEntry]) {
        let now = self.env.now();
        for entry in extents {
            let packed = Packed { fileid: inode.fileid, start: entry.start, extent: entry.extent };
            self.cleaner.placed_inline(packed, now, self.settings.pack_bytes);
        }
    }

    /// All bytes below `end` that this flush had are in the operation; `more` of it comes after them.
    fn enqueue_part(&self, state: &mut State, names: &Names, mut operation: Operation, (end, more): (u64, bool)) {
        let size = state.record.as_ref().map_or(0, |record| record.size);
        state.file.flushed_size = state.file.flushed_size.max(end.min(size));
        let partial = more || !state.file.dirty.is_empty();
        state.put_record_as(partial, &self.counters, names, &mut operation);
        let position = self.queue.push(operation);
        state.entered(position);
    }

    /// Flushes every file, into the reserve if need be.
    pub(crate) async fn flush_all(&self) -> Result<()> {
        let dirty: Vec<u64> = self.dirty.lock().iter().copied().collect();
        self.flush_files(dirty, Room::Reserve).await
    }

    /// Flushes what is older than the settings allow, and more when memory is short.
    pub(crate) async fn flush_old(&self) {
        let now = self.env.now();
        let mut dirty: Vec<u64> = self.dirty.lock().iter().copied().collect();
        if !self.budget.is_tight() {
            dirty.retain(|fileid| {
                let since = self.cache.peek(*fileid).and_then(|inode| inode.lock().file.dirty_since);
                since.is_none_or(|since| now.since(since) >= self.settings.dirty_age)
            });
        }
        // Whoever wrote is told by the verifier and by COMMIT.
        let _ = self.flush_files(dirty, Room::Free).await;
    }

    /// Flushes files, several at a time, so that they share syncs. All of them are tried; the first error is told.
    async fn flush_files(&self, fileids: Vec<u64>, room: Room) -> Result<()> {
        let mut waiting = fileids.into_iter();
        let mut running: Vec<Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>> = Vec::new();
        let mut result = Ok(());
        poll_fn(|cx| {
            loop {
                while running.len() < FILES_AT_ONCE
                    && let Some(fileid) = waiting.next()
                {
                    match self.cache.peek(fileid) {
                        Some(inode) => {
                            let losses = inode.lock().file.losses;
                            running
                                .push(Box::pin(async move { self.flush_into(&inode, room, losses).await.map(drop) }));
                        }
                        // Dirty inodes stay in memory: this one is gone, and so is its data.
                        None => drop(self.dirty.lock().remove(&fileid)),
                    }
                }
                let before = running.len();
                running.retain_mut(|flush| match flush.as_mut().poll(cx) {
                    Poll::Ready(flushed) => {
                        if result.is_ok() {
                            result = flushed;
                        }
                        false
                    }
                    Poll::Pending => true,
                });
                if running.is_empty() && waiting.len() == 0 {
                    return Poll::Ready(());
                }
                if running.len() == before {
                    return Poll::Pending;
                }
            }
        })
        .await;
        result
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
            if dropped > 0 {
                state.file.flush_failed = true;
                state.file.losses += 1;
                state.file.lost_to = Some(FsError::Io("unstable data was lost".into()));
            }
            let size = state.file.flushed_size;
            state.file.flushed = state.file.written;
            if let Some(record) = &mut state.record
                && dropped > 0
            {
                record.size = size;
                // What was shown with the dropped data is not shown again without it.
                record.change = self.counters.change();
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
