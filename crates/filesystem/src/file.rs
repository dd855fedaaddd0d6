//! A regular file in memory: dirty data and the windows of its extent map that are loaded (Architecture section 3, "Data",
//! "Extents").

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use env::Instant;
use storage::{Keyspace, Now, Scan};

use crate::{
    FsError, Result,
    cleaner::Move,
    core::Core,
    dirty::Dirty,
    inode::{Inode, State},
    keys,
    names::Names,
    operation::{Change, Operation},
    record::{BLOCK, MapEntry, Source, Trim, WINDOW},
};

/// So many windows are loaded together, as far as their entries come in one page: who reads one will want the next.
const TOGETHER: u64 = 16;

/// Maps of up to so many entries are loaded whole.
const WHOLE_MAP_MAX: u64 = 500;

/// The map entries of 1 MiB of a file, in order.
#[derive(Default)]
struct Window {
    entries: Vec<MapEntry>,
    unsynced: u64,
}

/// What is known of a file's content.
#[derive(Default)]
pub(crate) struct File {
    /// The size that is durable, or will be with what is in the queue.
    pub(crate) flushed_size: u64,
    /// Unstable data.
    pub(crate) dirty: Dirty,
    /// Unstable data on its way into the extent map.
    pub(crate) flushing: Option<Arc<Dirty>>,
    /// When the oldest unstable data was written, at the latest.
    pub(crate) dirty_since: Option<Instant>,
    /// Counts the writes.
    pub(crate) written: u64,
    /// Writes up to this one are in the map, or were dropped.
    pub(crate) flushed: u64,
    /// Data was dropped by a failed flush, and no COMMIT has said so yet.
    pub(crate) flush_failed: bool,
    /// How often unstable data was dropped, and why the last time: whoever waits for a flush of it must not be told OK.
    pub(crate) losses: u64,
    pub(crate) lost_to: Option<FsError>,
    /// Where a sequential reader would go on.
    pub(crate) next_read: u64,
    /// What is before this was asked for ahead of a sequential reader; 0 if nobody reads so, or all was in memory.
    pub(crate) ahead: u64,
    /// Truncations not yet carried out: entries they killed count as absent.
    pub(crate) trims: Vec<Trim>,
    windows: BTreeMap<u64, Window>,
    /// Entries in all windows.
    entries: usize,
    /// Windows that are not there have no entries.
    map_known: bool,
    /// The place in the queue of the last change to the map.
    unsynced: u64,
    touched: Vec<u64>,
}

/// What a part of a file's content comes from.
pub(crate) enum Part {
    Data(u64, Bytes),
    Extent(MapEntry),
}

impl File {
    /// A file just made: all of its map is known to be empty.
    pub(crate) fn new_empty() -> Self {
        Self { map_known: true, ..Self::default() }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.dirty.is_empty() && self.flushing.is_none()
    }

    pub(crate) fn unsynced_max(&self) -> Option<u64> {
        (self.unsynced > 0).then_some(self.unsynced)
    }

    /// What is kept in memory of the map.
    pub(crate) fn cached(&self) -> usize {
        self.windows.len() + self.entries
    }

    /// Whether the whole map is loaded.
    pub(crate) const fn is_known(&self) -> bool {
        self.map_known
    }

    /// All loaded entries, dead ones included.
    pub(crate) fn all_entries(&self) -> impl Iterator<Item = &MapEntry> {
        self.windows.values().flat_map(|window| &window.entries)
    }

    pub(crate) const fn set_map_known(&mut self) {
        self.map_known = true;
    }

    /// A window of `from..to` that has to be loaded first.
    pub(crate) fn missing_window(&self, from: u64, to: u64) -> Option<u64> {
        if self.map_known || from >= to {
            return None;
        }
        (from / WINDOW..=(to - 1) / WINDOW).find(|window| !self.windows.contains_key(window))
    }

    /// Forgets the windows that the shard knows as well.
    pub(crate) fn trim(&mut self, core: &Core) {
        self.windows.retain(|_, window| !core.queue.is_durable(window.unsynced));
        self.entries = self.windows.values().map(|window| window.entries.len()).sum();
        self.map_known = false;
    }

    /// The entries that touch `from..to`. The windows have to be loaded.
    pub(crate) fn entries(&self, from: u64, to: u64) -> impl Iterator<Item = &MapEntry> {
        let windows = from / WINDOW..to.div_ceil(WINDOW).max(from / WINDOW);
        let loaded = self.windows.range(windows).flat_map(|(_, window)| &window.entries);
        loaded.filter(move |entry| entry.start < to && entry.end() > from && !self.is_dead(entry))
    }

    /// A truncation has removed the entry, and the reaper has not come by yet.
    fn is_dead(&self, entry: &MapEntry) -> bool {
        self.trims.iter().any(|trim| trim.kills(entry.start, entry.extent.id))
    }

    /// The operation that changed windows has its place in the queue now.
    pub(crate) fn entered(&mut self, position: u64) {
        if self.touched.is_empty() {
            return;
        }
        for window in self.touched.drain(..) {
            if let Some(window) = self.windows.get_mut(&window) {
                window.unsynced = position;
            }
        }
        self.unsynced = position;
    }

    /// What `from..to` consists of, the newest on top; what nothing covers is a hole. In the order to lay it down.
    pub(crate) fn parts(&self, from: u64, to: u64, with_dirty: bool) -> Vec<Part> {
        let mut parts: Vec<Part> = self.entries(from, to).map(|entry| Part::Extent(*entry)).collect();
        let mut lay = |dirty: &Dirty| parts.extend(dirty.within(from, to).map(|(at, data)| Part::Data(at, data)));
        if let Some(flushing) = &self.flushing {
            lay(flushing);
        }
        if with_dirty {
            lay(&self.dirty);
        }
        parts
    }

    fn window_mut(&mut self, window: u64) -> &mut Window {
        if self.touched.last() != Some(&window) {
            self.touched.push(window);
        }
        let found = self.windows.entry(window).or_default();
        found.unsynced = u64::MAX;
        found
    }
}

/// Keeps the totals in the record in step with the map.
struct Tally<'a> {
    names: &'a Names,
    fileid: u64,
    operation: &'a mut Operation,
    entries: i64,
    mapped: i64,
    hash: u128,
}

impl Tally<'_> {
    fn add(&mut self, entry: &MapEntry) {
        self.entries += 1;
        self.mapped = self.mapped.saturating_add_unsigned(entry.blocks_bytes());
        self.hash = self.hash.wrapping_add(self.names.map_hash(self.fileid, entry));
        self.operation.count_live(entry, 1);
        self.operation.put(keys::map(self.fileid, entry.start), entry.encode());
    }

    /// The same bytes of the file, elsewhere.
    fn repoint(&mut self, entry: &MapEntry, new: &MapEntry) {
        let hash = |entry| self.names.map_hash(self.fileid, entry);
        self.hash = self.hash.wrapping_add(hash(new)).wrapping_sub(hash(entry));
        self.operation.count_live(entry, -1);
        self.operation.count_live(new, 1);
        self.operation.put(keys::map(self.fileid, new.start), new.encode());
    }

    fn remove(&mut self, entry: &MapEntry) {
        self.entries -= 1;
        self.mapped = self.mapped.saturating_sub_unsigned(entry.blocks_bytes());
        self.hash = self.hash.wrapping_sub(self.names.map_hash(self.fileid, entry));
        self.operation.count_live(entry, -1);
        self.operation.delete(keys::map(self.fileid, entry.start));
    }
}

fn to_u32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// What is left of an entry when `from..to` is cut out of it. `to` is on the grid or beyond the end.
fn remnants(entry: &MapEntry, from: u64, to: u64) -> [Option<MapEntry>; 2] {
    let left = (entry.start < from).then(|| MapEntry { length: to_u32(from - entry.start), ..*entry });
    let right = (entry.end() > to).then(|| MapEntry {
        start: to,
        length: to_u32(entry.end() - to),
        first_piece: entry.first_piece + to_u32((to - entry.start) / BLOCK),
        extent: entry.extent,
    });
    [left, right]
}

impl State {
    /// Removes what the map says for `from..to` (within one loaded window), then maps `new`, if any, there.
    pub(crate) fn replace_map(
        &mut self,
        names: &Names,
        (from, to): (u64, u64),
        new: Option<MapEntry>,
        operation: &mut Operation,
    ) -> Result<()> {
        let fileid = self.remains()?.fileid;
        let to = to.next_multiple_of(BLOCK);
        let mut tally = Tally { names, fileid, operation, entries: 0, mapped: 0, hash: 0 };
        let window = self.file.window_mut(from / WINDOW);
        let before = window.entries.len();
        let mut kept = Vec::with_capacity(window.entries.len() + 1);
        let mut cut = Vec::new();
        for entry in window.entries.drain(..) {
            if entry.start >= to || entry.end() <= from {
                kept.push(entry);
                continue;
            }
            tally.remove(&entry);
            cut.push(entry.extent);
            for remnant in remnants(&entry, from, to).into_iter().flatten() {
                tally.add(&remnant);
                kept.push(remnant);
            }
        }
        if let Some(new) = new {
            tally.add(&new);
            kept.push(new);
            kept.sort_by_key(|entry| entry.start);
        }
        for extent in cut {
            // An extent lies in one window, so nobody else can still name it.
            if extent.source == Source::Inline && !kept.iter().any(|entry| entry.extent.id == extent.id) {
                tally.operation.push(Change::DeleteInline(keys::inline(fileid, extent.id)));
            }
        }
        let after = kept.len();
        window.entries = kept;
        self.file.entries = (self.file.entries + after).saturating_sub(before);
        let (entries, mapped, hash) = (tally.entries, tally.mapped, tally.hash);
        self.count_map(entries, mapped, hash, operation)
    }

    /// Points the entries of a loaded window that still say what was moved to the new place. True if any did.
    pub(crate) fn repoint(&mut self, names: &Names, moved: &Move, operation: &mut Operation) -> Result<bool> {
        let fileid = self.remains()?.fileid;
        let same = |entry: &MapEntry| {
            let pieces = entry.pieces();
            entry.extent == moved.from && pieces.start >= moved.pieces.start && pieces.end <= moved.pieces.end
        };
        let there = self.file.windows.get(&moved.window);
        if !there.is_some_and(|window| window.entries.iter().any(same)) {
            return Ok(false);
        }
        let mut tally = Tally { names, fileid, operation, entries: 0, mapped: 0, hash: 0 };
        for entry in &mut self.file.window_mut(moved.window).entries {
            if same(entry) {
                let new = MapEntry { extent: moved.to, ..*entry };
                tally.repoint(entry, &new);
                *entry = new;
            }
        }
        if moved.from.source == Source::Inline {
            tally.operation.push(Change::DeleteInline(keys::inline(fileid, moved.from.id)));
        }
        let hash = tally.hash;
        self.count_map(0, 0, hash, operation)?;
        Ok(true)
    }

    fn count_map(&mut self, entries: i64, mapped: i64, hash: u128, operation: &mut Operation) -> Result<()> {
        // The object may be on its way out: gone, but its map still to be removed.
        let record = self.record.as_mut().ok_or(FsError::Delay)?;
        let before = record.space_used();
        record.entries = record.entries.saturating_add_signed(entries);
        record.mapped = record.mapped.saturating_add_signed(mapped);
        record.set_hash = record.set_hash.wrapping_add(hash);
        let after = record.space_used();
        operation.usage.data += i64::try_from(after).unwrap_or(0) - i64::try_from(before).unwrap_or(0);
        Ok(())
    }

    /// Removes the dead entries of a loaded window.
    pub(crate) fn bury(&mut self, names: &Names, window: u64, operation: &mut Operation) -> Result<()> {
        let dead: Vec<MapEntry> = {
            let entries = self.file.windows.get(&window).map(|window| &window.entries[..]).unwrap_or_default();
            entries.iter().filter(|entry| self.file.is_dead(entry)).copied().collect()
        };
        for entry in dead {
            self.replace_map(names, (entry.start, entry.end()), None, operation)?;
        }
        Ok(())
    }

    /// Cuts the map of a loaded window off at `size`.
    pub(crate) fn cut_window(&mut self, names: &Names, window: u64, size: u64, op: &mut Operation) -> Result<()> {
        let (start, end) = (window * WINDOW, (window + 1) * WINDOW);
        self.replace_map(names, (size.max(start), end), None, op)
    }

    /// The loaded windows from this one on.
    pub(crate) fn windows_from(&self, window: u64) -> Vec<u64> {
        self.file.windows.range(window..).map(|(number, _)| *number).collect()
    }
}

impl Core {
    /// Loads the map of one window, and of some that follow.
    pub(crate) async fn load_window(&self, inode: &Inode, window: u64) -> Result<()> {
        let from = keys::map(inode.fileid, window * WINDOW);
        let to = keys::map(inode.fileid, (window + TOGETHER).saturating_mul(WINDOW));
        self.load_map(inode, from, to, Some(window), 2 * (WINDOW / BLOCK)).await
    }

    /// Loads the whole map of a file, if it has few entries.
    pub(crate) async fn load_whole_map(&self, inode: &Inode) -> Result<()> {
        let from = keys::map(inode.fileid, 0);
        let to = keys::map(inode.fileid, u64::MAX);
        self.load_map(inode, from, to, None, WHOLE_MAP_MAX).await
    }

    async fn load_map(&self, inode: &Inode, from: Bytes, to: Bytes, only: Option<u64>, limit: u64) -> Result<()> {
        let _turn = inode.loading.lock().await;
        {
            let state = inode.lock();
            let known = state.file.map_known;
            if known || only.is_some_and(|window| state.file.windows.contains_key(&window)) {
                return Ok(());
            }
        }
        let scan = Scan {
            keyspace: Keyspace::Records,
            from: std::ops::Bound::Included(from),
            to: std::ops::Bound::Excluded(to),
            reverse: false,
            limit_keys: usize::try_from(limit).unwrap_or(usize::MAX),
            limit_bytes: 1 << 20,
        };
        let page = match self.shard.scan_now(&scan)? {
            Now::Hit(page) => page,
            Now::WouldBlock => self.shard.scan(scan).await?,
        };
        if page.more && only.is_none() {
            // Not so few: the shard may still hold what pending operations remove.
            return Ok(());
        }
        let mut loaded: BTreeMap<u64, Window> = BTreeMap::new();
        for (key, value) in &page.items {
            let (_, start) = keys::numbers(key)?;
            let entry = MapEntry::decode(start, &self.open_record(key, value)?)?;
            loaded.entry(start / WINDOW).or_default().entries.push(entry);
        }
        if let Some(first) = only {
            // Of the last window on a full page the rest may be missing.
            let end =
                if page.more { loaded.last_key_value().map_or(first, |(last, _)| *last) } else { first + TOGETHER };
            if end <= first {
                return Err(FsError::Io(format!("more map entries of file {} than a window has blocks", inode.fileid)));
            }
            loaded.retain(|window, _| *window < end);
            for window in first..end {
                loaded.entry(window).or_default();
            }
        }
        let mut state = inode.lock();
        for (number, window) in loaded {
            let entries = window.entries.len();
            if let std::collections::btree_map::Entry::Vacant(place) = state.file.windows.entry(number) {
                place.insert(window);
                state.file.entries += entries;
            }
        }
        state.file.map_known |= only.is_none();
        state.recount();
        Ok(())
    }
}
