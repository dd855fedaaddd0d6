//! A directory in memory: what is known of the slots that its cookies name, pending changes included (Architecture
//! section 3, "Directory entry").

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use storage::{Keyspace, Now, Page, Scan};
use tokio::sync::MutexGuard;

use crate::{
    FsError, Kind, Result,
    core::Core,
    inode::{Inode, State},
    keys,
    names::{COOKIE_MAX, Names, next_cookie},
    operation::Operation,
    record::EntryRecord,
};

/// Entries that one page of a scan reads ahead of what was asked.
const PAGE: usize = 256;

/// What is known to lie at a cookie.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Empty,
    Marker,
    Entry(SlotEntry),
}

#[derive(Clone, Debug)]
pub(crate) struct SlotEntry {
    pub(crate) name: Bytes,
    pub(crate) fileid: u64,
    pub(crate) kind: Kind,
    passed: bool,
}

impl SlotEntry {
    fn record(&self) -> EntryRecord {
        EntryRecord::Entry { name: self.name[..].into(), fileid: self.fileid, kind: self.kind, passed: self.passed }
    }
}

struct Known {
    slot: Slot,
    unsynced: u64,
}

/// The known slots of one directory.
#[derive(Default)]
pub(crate) struct Directory {
    slots: BTreeMap<u64, Known>,
    /// Cookies below this that are not in `slots` are empty.
    known_below: u64,
    unsynced: u64,
    /// Slots changed by the operation being applied, whose place in the queue is not known yet.
    touched: Vec<u64>,
}

/// The outcome of a search for a name.
pub(crate) enum Probe {
    Found {
        cookie: u64,
        entry: SlotEntry,
    },
    Absent {
        free: u64,
        base: u64,
        /// The place in the queue of the last change to what was looked at.
        unsynced: u64,
    },
    /// What lies at this cookie has to be loaded first.
    Unknown(u64),
}

impl Directory {
    /// A directory just made: all of it is known to be empty.
    pub(crate) fn new_empty() -> Self {
        Self { known_below: u64::MAX, ..Self::default() }
    }

    fn slot(&self, cookie: u64) -> Option<&Slot> {
        match self.slots.get(&cookie) {
            Some(known) => Some(&known.slot),
            None if cookie < self.known_below => Some(&Slot::Empty),
            None => None,
        }
    }

    /// The place in the queue of the last change to this slot.
    pub(crate) fn unsynced(&self, cookie: u64) -> u64 {
        self.slots.get(&cookie).map_or(0, |known| known.unsynced)
    }

    /// Slots in memory.
    pub(crate) fn cached(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn unsynced_max(&self) -> Option<u64> {
        (self.unsynced > 0).then_some(self.unsynced)
    }

    pub(crate) fn probe(&self, names: &Names, name: &[u8]) -> Probe {
        let base = names.cookie(name);
        let mut cookie = base;
        let mut free = None;
        let mut unsynced = 0;
        loop {
            unsynced = self.unsynced(cookie).max(unsynced);
            match self.slot(cookie) {
                None => return Probe::Unknown(cookie),
                Some(Slot::Empty) => return Probe::Absent { free: free.unwrap_or(cookie), base, unsynced },
                Some(Slot::Marker) => free = free.or(Some(cookie)),
                Some(Slot::Entry(entry)) if entry.name == name => {
                    return Probe::Found { cookie, entry: entry.clone() };
                }
                Some(Slot::Entry(_)) => {}
            }
            cookie = next_cookie(cookie);
        }
    }

    fn set(&mut self, cookie: u64, slot: Slot) {
        self.slots.insert(cookie, Known { slot, unsynced: u64::MAX });
        self.touched.push(cookie);
    }

    /// The operation that changed slots has its place in the queue now.
    pub(crate) fn entered(&mut self, position: u64) {
        if self.touched.is_empty() {
            return;
        }
        for cookie in self.touched.drain(..) {
            if let Some(known) = self.slots.get_mut(&cookie) {
                known.unsynced = position;
            }
        }
        self.unsynced = position;
    }

    /// Takes in what the shard holds at one cookie.
    fn learn(&mut self, cookie: u64, record: Option<EntryRecord>) {
        let slot = match record {
            None => Slot::Empty,
            Some(EntryRecord::Marker) => Slot::Marker,
            Some(EntryRecord::Entry { name, fileid, kind, passed }) => {
                Slot::Entry(SlotEntry { name: Bytes::from(name), fileid, kind, passed })
            }
        };
        // What is known already is newer.
        self.slots.entry(cookie).or_insert(Known { slot, unsynced: 0 });
    }

    /// Forgets every slot that the shard knows as well.
    pub(crate) fn trim(&mut self, core: &Core) {
        self.slots.retain(|_, known| !core.queue.is_durable(known.unsynced));
        self.known_below = 0;
    }

    fn range(&self, after: u64, last: u64) -> impl Iterator<Item = (u64, &SlotEntry)> {
        let bounds = (Bound::Excluded(after), Bound::Included(last.max(after)));
        let known = if last > after { Some(self.slots.range(bounds)) } else { None };
        known.into_iter().flatten().filter_map(|(cookie, known)| match &known.slot {
            Slot::Entry(entry) => Some((*cookie, entry)),
            Slot::Empty | Slot::Marker => None,
        })
    }
}

/// An entry to be listed.
pub(crate) struct Listed {
    pub(crate) cookie: u64,
    pub(crate) name: Bytes,
    pub(crate) fileid: u64,
    pub(crate) kind: Kind,
}

impl State {
    /// Adds an entry at a free slot that [`Directory::probe`] found, and updates the record of the directory.
    pub(crate) fn insert_entry(
        &mut self,
        names: &Names,
        (free, base): (u64, u64),
        entry: NewEntry<'_>,
        operation: &mut Operation,
    ) -> Result<()> {
        let directory = self.record()?.fileid;
        let mut cookie = base;
        while cookie != free {
            // The run now goes on behind these: their removal has to leave a marker.
            if let Some(Slot::Entry(passed)) = self.directory.slot(cookie)
                && !passed.passed
            {
                let passed = SlotEntry { passed: true, ..passed.clone() };
                operation.put_entry(directory, cookie, &passed.record());
                self.directory.set(cookie, Slot::Entry(passed));
            }
            cookie = next_cookie(cookie);
        }
        // Whoever went past a marker goes past the entry that takes its place.
        let passed = matches!(self.directory.slot(free), Some(Slot::Marker));
        let name = Bytes::copy_from_slice(entry.name);
        let new = SlotEntry { name, fileid: entry.fileid, kind: entry.kind, passed };
        operation.put_entry(directory, free, &new.record());
        self.directory.set(free, Slot::Entry(new));
        let record = self.record_mut()?;
        record.mapped = record.mapped.saturating_sub(u64::from(passed));
        record.entries += 1;
        record.name_bytes += entry.name.len() as u64;
        let hash = names.entry_hash(directory, free, entry.name, entry.fileid, entry.kind);
        record.set_hash = record.set_hash.wrapping_add(hash);
        Ok(())
    }

    /// Removes the entry at `cookie` and updates the record of the directory.
    pub(crate) fn remove_entry(&mut self, names: &Names, cookie: u64, operation: &mut Operation) -> Result<()> {
        let Some(Slot::Entry(entry)) = self.directory.slot(cookie).cloned() else { return Err(FsError::Delay) };
        let record = self.record_mut()?;
        let directory = record.fileid;
        record.entries = record.entries.saturating_sub(1);
        record.name_bytes = record.name_bytes.saturating_sub(entry.name.len() as u64);
        let hash = names.entry_hash(directory, cookie, &entry.name, entry.fileid, entry.kind);
        record.set_hash = record.set_hash.wrapping_sub(hash);
        if entry.passed {
            record.mapped += 1;
            operation.put_entry(directory, cookie, &EntryRecord::Marker);
            self.directory.set(cookie, Slot::Marker);
        } else {
            operation.delete(keys::entry(directory, cookie));
            self.directory.set(cookie, Slot::Empty);
        }
        Ok(())
    }

    /// Writes another object into the entry at `cookie`, which keeps its name.
    pub(crate) fn replace_entry(
        &mut self,
        names: &Names,
        cookie: u64,
        (fileid, kind): (u64, Kind),
        operation: &mut Operation,
    ) -> Result<()> {
        let Some(Slot::Entry(old)) = self.directory.slot(cookie).cloned() else { return Err(FsError::Delay) };
        let record = self.record_mut()?;
        let directory = record.fileid;
        let before = names.entry_hash(directory, cookie, &old.name, old.fileid, old.kind);
        let after = names.entry_hash(directory, cookie, &old.name, fileid, kind);
        record.set_hash = record.set_hash.wrapping_sub(before).wrapping_add(after);
        let new = SlotEntry { fileid, kind, ..old };
        operation.put_entry(directory, cookie, &new.record());
        self.directory.set(cookie, Slot::Entry(new));
        Ok(())
    }

    /// An empty directory whose markers are not all known.
    pub(crate) fn needs_markers(&self) -> bool {
        let markers = |record: &crate::record::InodeRecord| {
            record.kind == Kind::Directory && record.entries == 0 && record.mapped > 0
        };
        self.record.as_ref().is_some_and(markers) && self.directory.known_below != u64::MAX
    }

    /// Deletes the markers of a directory that is removed. All of them have to be known.
    pub(crate) fn remove_markers(&mut self, operation: &mut Operation) -> Result<()> {
        let directory = self.remains()?.fileid;
        let markers = self.directory.slots.iter().filter(|(_, known)| matches!(known.slot, Slot::Marker));
        for (cookie, _) in markers {
            operation.delete(keys::entry(directory, *cookie));
        }
        Ok(())
    }
}

/// What a new entry leads to.
#[derive(Clone, Copy)]
pub(crate) struct NewEntry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) fileid: u64,
    pub(crate) kind: Kind,
}

/// A page of a listing.
pub(crate) struct Listing {
    pub(crate) entries: Vec<Listed>,
    pub(crate) eof: bool,
    pub(crate) unsynced: u64,
}

impl Core {
    /// Loads what lies at one cookie.
    pub(crate) async fn load_slot(&self, inode: &Inode, cookie: u64) -> Result<()> {
        let _turn = inode.loading.lock().await;
        if inode.lock().directory.slot(cookie).is_some() {
            return Ok(());
        }
        let record = self.get_record(&keys::entry(inode.fileid, cookie)).await?;
        let record = record.map(|bytes| EntryRecord::decode(&bytes)).transpose()?;
        let mut state = inode.lock();
        state.directory.learn(cookie, record);
        state.recount();
        Ok(())
    }

    /// Entries after `after` in the order of their cookies: at most `entries_max`, and as long as each name `fits`.
    pub(crate) async fn list(
        &self,
        inode: &Inode,
        mut after: u64,
        entries_max: usize,
        mut fits: impl FnMut(&[u8]) -> bool + Send,
    ) -> Result<Listing> {
        let mut listing = Listing { entries: Vec::new(), eof: false, unsynced: 0 };
        loop {
            let known_below = {
                let state = inode.lock();
                state.record()?;
                listing.unsynced = state.unsynced.max(state.directory.unsynced);
                let known_below = state.directory.known_below;
                if after < known_below.saturating_sub(1) || known_below == u64::MAX {
                    let last = known_below.saturating_sub(1).min(COOKIE_MAX);
                    if !listing.take(&state.directory, after, last, entries_max, &mut fits) {
                        return Ok(listing);
                    }
                    after = last;
                }
                known_below
            };
            if known_below == u64::MAX || after >= COOKIE_MAX {
                listing.eof = true;
                return Ok(listing);
            }
            // Nothing that the page brings is forgotten before it is listed.
            let turn = inode.loading.lock().await;
            let last = self.learn_page(inode, after, &turn).await?;
            let state = inode.lock();
            if !listing.take(&state.directory, after, last, entries_max, &mut fits) {
                return Ok(listing);
            }
            after = last;
        }
    }

    /// Reads the entries behind `after` from the shard, and says up to which cookie all are known now.
    async fn learn_page(&self, inode: &Inode, after: u64, _turn: &MutexGuard<'_, ()>) -> Result<u64> {
        let scan = Scan {
            keyspace: Keyspace::Records,
            from: Bound::Excluded(keys::entry(inode.fileid, after)),
            to: Bound::Included(keys::entry(inode.fileid, COOKIE_MAX)),
            reverse: false,
            limit_keys: PAGE,
            limit_bytes: 256 << 10,
        };
        let page = self.scan_page(scan).await?;
        let mut learned = Vec::with_capacity(page.items.len());
        for (key, value) in &page.items {
            let (_, cookie) = keys::numbers(key)?;
            learned.push((cookie, EntryRecord::decode(&self.open_record(key, value)?)?));
        }
        let last = match learned.last() {
            Some((cookie, _)) if page.more => *cookie,
            _ => COOKIE_MAX,
        };
        let mut state = inode.lock();
        for (cookie, record) in learned {
            state.directory.learn(cookie, Some(record));
        }
        state.recount();
        if after < state.directory.known_below.max(1) {
            state.directory.known_below = if last == COOKIE_MAX { u64::MAX } else { last + 1 };
        }
        Ok(last)
    }

    /// Loads everything that the directory holds.
    pub(crate) async fn load_all_slots(&self, inode: &Inode) -> Result<()> {
        let turn = inode.loading.lock().await;
        let mut after = 0;
        while inode.lock().directory.known_below != u64::MAX {
            after = self.learn_page(inode, after, &turn).await?;
            if after >= COOKIE_MAX {
                break;
            }
        }
        Ok(())
    }

    async fn scan_page(&self, scan: Scan) -> Result<Page> {
        match self.shard.scan_now(&scan)? {
            Now::Hit(page) => Ok(page),
            Now::WouldBlock => Ok(self.shard.scan(scan).await?),
        }
    }
}

impl Listing {
    /// Takes known entries in (after, last]. False if the page is full.
    fn take(
        &mut self,
        directory: &Directory,
        after: u64,
        last: u64,
        entries_max: usize,
        fits: &mut impl FnMut(&[u8]) -> bool,
    ) -> bool {
        for (cookie, entry) in directory.range(after, last) {
            if self.entries.len() >= entries_max || !fits(&entry.name) {
                return false;
            }
            self.entries.push(Listed { cookie, name: entry.name.clone(), fileid: entry.fileid, kind: entry.kind });
        }
        true
    }
}
