//! The packer: inline bytes, which lie in the engine for the sake of one sync, go into segments soon.

use env::Instant;
use storage::{Keyspace, Scan};

use super::relocate::{CHUNK, Move};
use crate::{
    Result,
    core::Core,
    inode::Inode,
    keys,
    record::{Extent, Source, WINDOW},
};

/// So many extents are remembered; beyond that the engine is asked what it holds.
const REMEMBERED_MAX: usize = 64 << 10;

/// An inline extent that a flush has put into the map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    pub(crate) fileid: u64,
    /// Where the entry that names it begins.
    pub(crate) start: u64,
    pub(crate) extent: Extent,
}

/// Inline extents to be packed, in the order in which they came.
#[derive(Default)]
pub(crate) struct Outstanding {
    extents: Vec<Packed>,
    bytes: usize,
    since: Option<Instant>,
    /// Some were not remembered.
    more: bool,
}

impl Outstanding {
    /// How many bytes wait now.
    pub(super) fn push(&mut self, packed: Packed, now: Instant) -> usize {
        self.since.get_or_insert(now);
        self.bytes += usize::try_from(packed.extent.bytes).unwrap_or(0);
        if self.extents.len() < REMEMBERED_MAX {
            self.extents.push(packed);
        } else {
            self.more = true;
        }
        self.bytes
    }
}

impl Core {
    /// Packs what waits, if that is much or has waited for long.
    pub(super) async fn pack_if_due(&self) -> Result<()> {
        let taken = {
            let mut outstanding = self.cleaner.outstanding.lock();
            let old = outstanding.since.is_some_and(|since| self.env.now().since(since) >= self.settings.pack_age);
            if !old && outstanding.bytes < self.settings.pack_bytes {
                return Ok(());
            }
            std::mem::take(&mut *outstanding)
        };
        if taken.more {
            self.find_leftovers().await?;
        }
        let packed = self.pack(&taken.extents).await;
        if packed.is_err() {
            // Still there: another time.
            let mut outstanding = self.cleaner.outstanding.lock();
            outstanding.more = true;
            outstanding.since.get_or_insert(self.env.now());
        }
        packed
    }

    /// Remembers every inline extent that the engine holds: those from before the opening, and those that were too many.
    pub(super) async fn find_leftovers(&self) -> Result<()> {
        let mut scan = Scan::prefix(Keyspace::Inline, &[]);
        let (mut file, mut found) = (None, Vec::new());
        loop {
            let page = self.shard.scan(scan.clone()).await?;
            for (key, _) in &page.items {
                let fileid = keys::inline_file(key)?;
                if file.replace(fileid) != Some(fileid) {
                    found.extend(self.inline_entries(fileid).await?);
                }
            }
            self.pack(&std::mem::take(&mut found)).await?;
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return Ok(()),
            }
        }
    }

    /// The inline extents of a file as the shard knows them.
    async fn inline_entries(&self, fileid: u64) -> Result<Vec<Packed>> {
        let mut found = Vec::new();
        let mut scan = Scan::prefix(Keyspace::Records, &keys::map_prefix(fileid));
        loop {
            let page = self.shard.scan(scan.clone()).await?;
            for (key, value) in &page.items {
                if let Some((_, entry)) = self.map_entry(key, value)?
                    && entry.extent.source == Source::Inline
                {
                    found.push(Packed { fileid, start: entry.start, extent: entry.extent });
                }
            }
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return Ok(found),
            }
        }
    }

    /// Moves inline extents into the newest segment, a chunk at a time.
    async fn pack(&self, extents: &[Packed]) -> Result<()> {
        let mut chunk = Vec::new();
        let (mut sealed, mut bytes) = (Vec::new(), 0);
        for packed in extents {
            // Overwritten since, as hot blocks are.
            if !self.may_be_mapped(packed) {
                continue;
            }
            let found = self.fresh.lock().get(&packed.extent.id).cloned();
            let found = match found {
                Some(found) => Some(found),
                None => self.get_raw(Keyspace::Inline, &keys::inline(packed.fileid, packed.extent.id)).await?,
            };
            let Some(found) = found else { continue };
            bytes += u64::from(packed.extent.bytes).next_multiple_of(crate::record::BLOCK);
            if bytes > CHUNK {
                self.pack_into_one(std::mem::take(&mut chunk), std::mem::take(&mut sealed)).await?;
                bytes = u64::from(packed.extent.bytes).next_multiple_of(crate::record::BLOCK);
            }
            chunk.push(*packed);
            sealed.push(found);
        }
        if chunk.is_empty() { Ok(()) } else { self.pack_into_one(chunk, sealed).await }
    }

    async fn pack_into_one(&self, chunk: Vec<Packed>, sealed: Vec<bytes::Bytes>) -> Result<()> {
        let _turn = self.cleaner.placing.begin();
        let places = self.put_together(&sealed).await?;
        drop(sealed);
        let moves = chunk.iter().zip(places).map(|(packed, place)| Move {
            fileid: packed.fileid,
            window: packed.start / WINDOW,
            from: packed.extent,
            to: Extent { source: Source::Segment(place), ..packed.extent },
            pieces: 0..u32::MAX,
        });
        self.repoint(moves.collect()).await
    }

    /// Whether the map still names the extent, as far as it is at hand.
    fn may_be_mapped(&self, packed: &Packed) -> bool {
        let named = |inode: &Inode| {
            let state = inode.lock();
            let end = (packed.start / WINDOW + 1) * WINDOW;
            state.file.missing_window(packed.start, end).is_some()
                || state.file.entries(packed.start, end).any(|entry| entry.extent == packed.extent)
        };
        self.cache.peek(packed.fileid).is_none_or(|inode| named(&inode))
    }
}
