//! The packer: inline bytes, which lie in the engine for the sake of one sync, go into segments soon.

use std::sync::Arc;

use bytes::Bytes;
use env::Instant;
use storage::{Keyspace, Now, Scan};

use super::{
    Complaint, TICK,
    placing::Turn,
    relocate::{Move, gives_up},
};
use crate::{
    Result,
    core::Core,
    inode::Inode,
    keys,
    record::{Extent, Source, WINDOW},
    seal::sealed_bytes,
};

/// So much is put with one sync, in sealed bytes, while what was put before is brought into the map.
const PASS: usize = 2 << 20;

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
    pub(super) const fn is_empty(&self) -> bool {
        self.since.is_none()
    }

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

/// Sealed bytes that are in a segment and not yet in the map.
struct Placed<'a> {
    _turn: Turn<'a>,
    moves: Vec<Move>,
}

impl Core {
    /// Packs until the file system ends.
    pub(crate) async fn run_packer(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        let mut complaint = Complaint::default();
        let mut leftovers = true;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.next_pack(leftovers) => {}
                () = self.cleaner.wake.notified() => {}
            }
            let done = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                done = self.pack_what_waits(&mut leftovers) => done,
            };
            if complaint.ends(&self.id, done) {
                return;
            }
        }
    }

    /// The time to look again; without anything to pack that never comes.
    async fn next_pack(&self, leftovers: bool) {
        if !leftovers && self.cleaner.outstanding.lock().is_empty() {
            self.cleaner.arrived.notified().await;
        }
        self.env.tick(TICK).await;
    }

    async fn pack_what_waits(&self, leftovers: &mut bool) -> Result<()> {
        if !self.may_clean()? {
            return Ok(());
        }
        let _turn = self.cleaner.packing.lock().await;
        if *leftovers {
            self.pack_leftovers().await?;
            *leftovers = false;
        }
        self.pack_if_due().await
    }

    /// Packs what waits, if that is much or has waited for long.
    async fn pack_if_due(&self) -> Result<()> {
        let taken = {
            let mut outstanding = self.cleaner.outstanding.lock();
            let old = outstanding.since.is_some_and(|since| self.env.now().since(since) >= self.settings.pack_age);
            if !old && outstanding.bytes < self.settings.pack_bytes {
                return Ok(());
            }
            std::mem::take(&mut *outstanding)
        };
        let packed = async {
            if taken.more {
                self.pack_leftovers().await?;
            }
            self.pack(&taken.extents).await
        };
        let packed = packed.await;
        if packed.is_err() {
            // Still there: another time.
            let mut outstanding = self.cleaner.outstanding.lock();
            outstanding.more = true;
            outstanding.since.get_or_insert(self.env.now());
        }
        packed
    }

    /// Packs every inline extent that the engine holds: those from before the opening, and those that were too many.
    pub(super) async fn pack_leftovers(&self) -> Result<()> {
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

    /// Moves inline extents into the newest segment: a pass of them is put while the one before is brought into the map.
    async fn pack(&self, extents: &[Packed]) -> Result<()> {
        let mut placed = None;
        let mut rest = extents;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |packed: &&Packed| {
                bytes += sealed_bytes(packed.extent.bytes) as usize;
                bytes <= PASS
            };
            let (pass, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = later;
            let (next, mapped) = tokio::join!(self.place(pass), self.map_placed(placed.take()));
            mapped?;
            placed = Some(next?);
        }
        self.map_placed(placed).await
    }

    async fn map_placed(&self, placed: Option<Placed<'_>>) -> Result<()> {
        match placed {
            Some(placed) => self.repoint(placed.moves).await,
            None => Ok(()),
        }
    }

    async fn place(&self, pass: &[Packed]) -> Result<Placed<'_>> {
        let (found, sealed): (Vec<Packed>, Vec<Bytes>) = self.inline_values(pass).await?.into_iter().unzip();
        let turn = self.cleaner.placing.begin();
        let places = self.put_together(&sealed).await?;
        self.cleaner.put(sealed.iter().map(Bytes::len).sum(), self.settings.dead_slack_bytes);
        let moves = found.iter().zip(places).map(|(packed, place)| Move {
            fileid: packed.fileid,
            window: packed.start / WINDOW,
            from: packed.extent,
            to: Extent { source: Source::Segment(place), ..packed.extent },
            pieces: 0..u32::MAX,
        });
        Ok(Placed { moves: moves.collect(), _turn: turn })
    }

    /// The sealed bytes of those that are still named.
    async fn inline_values(&self, pass: &[Packed]) -> Result<Vec<(Packed, Bytes)>> {
        let (mut found, mut elsewhere) = (Vec::with_capacity(pass.len()), Vec::new());
        for packed in pass {
            // Overwritten since, as hot blocks are.
            if !self.may_be_mapped(packed) {
                continue;
            }
            let fresh = self.fresh.lock().get(&packed.extent.id).cloned();
            if let Some(sealed) = fresh {
                found.push((*packed, sealed));
                continue;
            }
            let key = keys::inline(packed.fileid, packed.extent.id);
            match self.shard.get_now(Keyspace::Inline, &key)? {
                Now::Hit(sealed) => found.extend(sealed.map(|sealed| (*packed, sealed))),
                Now::WouldBlock => elsewhere.push((*packed, key)),
            }
        }
        for (packed, key) in elsewhere {
            match self.shard.get(Keyspace::Inline, &key).await {
                Ok(sealed) => found.extend(sealed.map(|sealed| (packed, sealed))),
                Err(error) if gives_up(&error) => return Err(error.into()),
                // It stays where it is, and whoever reads it is told.
                Err(error) => {
                    tracing::error!(file_system = %self.id, fileid = packed.fileid, %error, "cannot be packed; see `coffer fsck`");
                }
            }
        }
        Ok(found)
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
