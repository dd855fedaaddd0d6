//! Merging map entries: a file that was written here and there and is at rest now gets one extent again for each run of its
//! content, so that reading it costs as much as if it had been written in one go.

use bytes::{Bytes, BytesMut};

use crate::{
    FsError, Result,
    core::Core,
    file::Part,
    inode::Inode,
    operation::Operation,
    record::{MapEntry, Source, WINDOW},
};

/// A window with no more entries is left as it is.
pub(super) const ENTRIES_WANTED: usize = 64;

/// What became of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// Nothing is left to do.
    Done,
    /// Its file has been written lately: another time.
    Busy,
}

impl Core {
    /// Writes the window anew if it has too many entries and its file is at rest.
    pub(super) async fn merge_window(&self, fileid: u64, window: u64) -> Result<Merged> {
        let inode = self.cache.get(self, fileid);
        match self.merge(&inode, window).await {
            // Removed meanwhile; or something in it cannot be read, and whoever reads it is told.
            Err(FsError::Stale | FsError::Io(_)) => Ok(Merged::Done),
            other => other,
        }
    }

    async fn merge(&self, inode: &Inode, window: u64) -> Result<Merged> {
        // Nobody else changes the map meanwhile, but for truncations that are being carried out.
        let _turn = inode.flushing.lock().await;
        self.load(inode).await?;
        let Some(entries) = self.entries_at_rest(inode, window).await? else { return Ok(Merged::Busy) };
        // What has holes everywhere stays so.
        if entries.len() <= ENTRIES_WANTED || runs(&entries).count() * 2 > entries.len() {
            return Ok(Merged::Done);
        }
        self.reserve_counters().await?;
        let mut merged = Vec::new();
        let mut sealed = Vec::new();
        for run in runs(&entries) {
            let plain = self.read_run(inode, run).await?;
            let (Some(first), Ok(length)) = (run.first(), u32::try_from(plain.len())) else { continue };
            let (extent, bytes) = self.seal_extent(inode.fileid, &[plain])?;
            merged.push(MapEntry { start: first.start, length, first_piece: 0, extent });
            sealed.push(bytes);
        }
        let _placing = self.cleaner.placing.begin();
        let places = self.put_together(&sealed).await?;
        let mut operation = Operation::new(self.queue.admit().await, None);
        let names = self.keys.names()?;
        let mut state = inode.lock();
        state.record()?;
        let start = window * WINDOW;
        let same = state.file.missing_window(start, start + WINDOW).is_none()
            && state.file.trims.is_empty()
            && state.file.entries(start, start + WINDOW).eq(&entries);
        if !same {
            return Ok(Merged::Busy);
        }
        for (mut entry, place) in merged.into_iter().zip(places) {
            entry.extent.source = Source::Segment(place);
            state.replace_map(&names, (entry.start, entry.end()), Some(entry), &mut operation)?;
        }
        state.put_record(&self.counters, &names, &mut operation);
        let position = self.push_own(operation);
        state.entered(position);
        Ok(Merged::Done)
    }

    /// The window's entries, if nobody has changed the file lately.
    async fn entries_at_rest(&self, inode: &Inode, window: u64) -> Result<Option<Vec<MapEntry>>> {
        let (start, end) = (window * WINDOW, (window + 1) * WINDOW);
        loop {
            let missing = {
                let state = inode.lock();
                let record = state.record()?;
                let age = self.env.wall().seconds.saturating_sub(record.mtime.seconds);
                let rests = u64::try_from(age).is_ok_and(|age| age >= self.settings.merge_age.as_secs());
                if !rests || !state.file.is_clean() || !state.file.trims.is_empty() {
                    return Ok(None);
                }
                match state.file.missing_window(start, end) {
                    None => return Ok(Some(state.file.entries(start, end).copied().collect())),
                    Some(missing) => missing,
                }
            };
            self.load_window(inode, missing).await?;
        }
    }

    async fn read_run(&self, inode: &Inode, run: &[MapEntry]) -> Result<Bytes> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(Bytes::new()) };
        let range = (first.start, last.end());
        let mut out = BytesMut::zeroed(usize::try_from(range.1 - range.0).map_err(|_| FsError::Invalid)?);
        for entry in run {
            self.read_part(inode.fileid, &Part::Extent(*entry), range, &mut out).await?;
        }
        Ok(out.freeze())
    }
}

/// The entries in runs without a hole.
fn runs(entries: &[MapEntry]) -> impl Iterator<Item = &[MapEntry]> {
    entries.chunk_by(|one, next| one.end() == next.start)
}
