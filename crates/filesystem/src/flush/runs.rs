//! The shape that dirty data is flushed in: runs on the 4 KiB grid, filled in from below where a write left a part of a
//! block (Architecture section 3, "Extents").

use bytes::{Bytes, BytesMut};

use crate::{
    Result,
    core::Core,
    dirty::Dirty,
    file::Part,
    inode::Inode,
    record::{BLOCK, MapEntry, WINDOW},
};

/// A run of bytes that becomes one extent.
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) fragments: Vec<Bytes>,
    pub(super) length: u64,
}

impl Run {
    const fn end(&self) -> u64 {
        self.start + self.length
    }
}

impl Core {
    /// The portion as runs that begin on the grid, end on it or at the end of the file, and cross no window.
    pub(super) async fn runs(&self, inode: &Inode, portion: &Dirty) -> Result<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        // Not the size in memory: what it owes to data that is not flushed with this may never be on the disk.
        let size = {
            let state = inode.lock();
            state.record()?;
            state.file.flushed_size.max(portion.end())
        };
        for (offset, data) in portion.ranges() {
            let mut at = offset;
            let mut data = data.clone();
            // Up to the next window at a time.
            while !data.is_empty() {
                let room = WINDOW - at % WINDOW;
                let take = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                self.lay(inode, (&mut runs, size), at, data.split_to(take)).await?;
                at += take as u64;
            }
        }
        if let Some(last) = runs.last_mut() {
            self.fill_tail(inode, last, size).await?;
        }
        Ok(runs)
    }

    /// Appends bytes to the last run if they are in the same or the next block of the same window, else begins a run.
    async fn lay(&self, inode: &Inode, (runs, size): (&mut Vec<Run>, u64), at: u64, data: Bytes) -> Result<()> {
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
            self.fill_tail(inode, last, size).await?;
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

    /// Fills the last block of a run as far as a file of this size goes.
    async fn fill_tail(&self, inode: &Inode, run: &mut Run, size: u64) -> Result<()> {
        let end = run.end();
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
}
