//! Moving sealed bytes to another place in segments, and pointing the map there.

use std::ops::Range;

use bytes::Bytes;
use storage::{Place, Sealed, SealedBuffer, StorageError};

use crate::{
    FsError, Result,
    core::Core,
    inode::Inode,
    operation::Operation,
    record::{Extent, MapEntry, Source, WINDOW},
    seal::sealed_bytes,
};

/// So much is copied at once, in plaintext bytes: what fits one pooled buffer when it is sealed.
pub(super) const CHUNK: u64 = 1 << 20;

/// A chunk of whole blocks when it is sealed.
const CHUNK_SEALED: usize = sealed_bytes(1 << 20) as usize;

/// Entries of one operation: it holds their records, the inode's and the counts of as many segments.
const TOGETHER: usize = 128;

/// Pieces of an extent that lie in two places now.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) fileid: u64,
    /// The window whose entries name the extent.
    pub(crate) window: u64,
    pub(crate) from: Extent,
    pub(crate) to: Extent,
    /// What was copied.
    pub(crate) pieces: Range<u32>,
}

impl Move {
    /// The pieces that an entry keeps alive, copied to `place`.
    fn of(fileid: u64, entry: &MapEntry, place: Place) -> Self {
        let to = Extent { first: entry.first_piece, source: Source::Segment(place), ..entry.extent };
        Self { fileid, window: entry.start / WINDOW, from: entry.extent, to, pieces: entry.pieces() }
    }
}

impl Core {
    /// Moves what the entries keep alive in segments to the newest one.
    pub(super) async fn relocate(&self, mut found: Vec<(u64, MapEntry)>) -> Result<()> {
        let _turn = self.cleaner.placing.begin();
        let place_of = |entry: &MapEntry| match entry.extent.source {
            Source::Segment(place) => place.part(entry.extent.sealed(&entry.pieces())),
            Source::Inline => None,
        };
        // In the order of the disk.
        found.sort_by_key(|(_, entry)| place_of(entry));
        let mut moves = Vec::with_capacity(found.len());
        let mut rest = &found[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |(_, entry): &&(u64, MapEntry)| {
                bytes += u64::from(entry.length).next_multiple_of(crate::record::BLOCK);
                bytes <= CHUNK
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (chunk, later) = rest.split_at(count);
            rest = later;
            self.copy(chunk, place_of, &mut moves).await?;
        }
        self.repoint(moves).await
    }

    /// Copies one chunk. If something in it cannot be read, all else is copied, and its segment is let be.
    async fn copy(
        &self,
        chunk: &[(u64, MapEntry)],
        place_of: impl Fn(&MapEntry) -> Option<Place>,
        moves: &mut Vec<Move>,
    ) -> Result<()> {
        let places: Vec<Place> = chunk.iter().filter_map(|(_, entry)| place_of(entry)).collect();
        if places.len() == chunk.len() {
            match self.segments.copy(places).await {
                Ok(copies) => {
                    let copied = chunk.iter().zip(copies);
                    moves.extend(copied.map(|((fileid, entry), place)| Move::of(*fileid, entry, place)));
                    return Ok(());
                }
                Err(error) if gives_up(&error) => return Err(error.into()),
                Err(_) => {}
            }
        }
        for (fileid, entry) in chunk {
            let copied = match place_of(entry) {
                Some(place) => self.segments.copy(vec![place]).await,
                None => Err(StorageError::NoSuchPlace(format!("the live pieces of extent {}", entry.extent.id))),
            };
            match copied {
                Ok(copies) => moves.extend(copies.first().map(|place| Move::of(*fileid, entry, *place))),
                Err(error) if gives_up(&error) => return Err(error.into()),
                Err(error) => {
                    if let Source::Segment(place) = entry.extent.source
                        && self.cleaner.stuck.lock().insert(place.segment)
                    {
                        tracing::error!(file_system = %self.id, fileid, %error, "cannot be moved; see `coffer fsck`");
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts sealed parts (each at most a chunk) into the newest segment: copied together into few large buffers, with one sync.
    pub(super) async fn put_together(&self, parts: &[Bytes]) -> Result<Vec<Place>> {
        let mut rest = parts;
        let mut buffers = Vec::new();
        while !rest.is_empty() {
            let mut whole = 0;
            let fits = |part: &&Bytes| {
                let fits = whole == 0 || whole + part.len() <= CHUNK_SEALED;
                whole += if fits { part.len() } else { 0 };
                fits
            };
            let (together, later) = rest.split_at(rest.iter().take_while(fits).count());
            rest = later;
            let mut buffer = SealedBuffer::new(whole);
            let mut room = &mut buffer[..];
            for part in together {
                let (out, tail) = room.split_at_mut(part.len());
                out.copy_from_slice(part);
                room = tail;
            }
            buffers.push(Sealed::from(buffer.freeze()));
        }
        let put = self.segments.put(buffers).await?;
        let mut chunks = put.into_iter();
        let mut chunk = chunks.next();
        let mut begin = 0;
        let places = parts.iter().map(|part| {
            let length = u32::try_from(part.len()).ok()?;
            if chunk.is_some_and(|chunk| begin == chunk.length) {
                (chunk, begin) = (chunks.next(), 0);
            }
            let place = chunk?.part(begin..begin.checked_add(length)?);
            begin += length;
            place
        });
        places.collect::<Option<_>>().ok_or(FsError::Delay)
    }

    /// Points the map entries that still say what was moved to the new places.
    pub(super) async fn repoint(&self, mut moves: Vec<Move>) -> Result<()> {
        moves.sort_by_key(|moved| (moved.fileid, moved.window));
        for of_file in moves.chunk_by(|one, other| one.fileid == other.fileid) {
            let Some(first) = of_file.first() else { continue };
            let inode = self.cache.get(self, first.fileid);
            for part in of_file.chunks(TOGETHER) {
                match self.repoint_part(&inode, part).await {
                    // Removed meanwhile, and with it all that it named.
                    Ok(()) | Err(FsError::Stale) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn repoint_part(&self, inode: &Inode, moves: &[Move]) -> Result<()> {
        // A flush that reads from below relies on the map as it is.
        let _turn = inode.flushing.lock().await;
        loop {
            self.load(inode).await?;
            self.reserve_counters().await?;
            let mut operation = Operation::new(self.queue.admit().await, None);
            let names = self.keys.names()?;
            let missing = {
                let mut state = inode.lock();
                // On its way out it is emptied by somebody else.
                state.record()?;
                let missing = moves
                    .iter()
                    .find_map(|moved| state.file.missing_window(moved.window * WINDOW, (moved.window + 1) * WINDOW));
                if missing.is_none() {
                    let mut any = false;
                    for moved in moves {
                        any |= state.repoint(&names, moved, &mut operation)?;
                    }
                    if any {
                        state.put_record(&self.counters, &names, &mut operation);
                        let position = self.push_own(operation);
                        state.entered(position);
                    }
                    return Ok(());
                }
                missing
            };
            drop(operation);
            if let Some(window) = missing {
                self.load_window(inode, window).await?;
            }
        }
    }
}

/// Whether there is no use in going on: nothing was wrong with what was read.
pub(super) fn gives_up(error: &StorageError) -> bool {
    matches!(error, StorageError::NoSpace | StorageError::Stopped(_))
}
