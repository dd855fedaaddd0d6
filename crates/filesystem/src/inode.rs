//! Inodes in memory: the authority over every object that is in use (Architecture section 3).
//!
//! The state of an inode is behind one short lock that is never held across an await. What an operation needs beyond
//! the record (directory slots, windows of the extent map) is loaded under `loading`, so that nothing is read from the
//! shard twice at once, and stays as long as it has changes that are not durable yet.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::{Mutex, MutexGuard};

use crate::{
    Budget, FileHandle, FsError, Kind, Result,
    budget::Cached,
    core::Core,
    counters::CounterSet,
    directory::Directory,
    file::File,
    handle::Identity,
    keys,
    names::Names,
    operation::Operation,
    record::{InodeRecord, Orphan},
};

/// An object in the cache.
pub(crate) struct Inode {
    pub(crate) fileid: u64,
    identity: OnceLock<(Identity, FileHandle)>,
    state: Mutex<State>,
    /// Held while something is read from the shard into the state.
    pub(crate) loading: tokio::sync::Mutex<()>,
    /// Held while dirty data is on its way, and by whoever cuts the file off.
    pub(crate) flushing: tokio::sync::Mutex<()>,
    /// Asked for since the last look at it.
    pub(crate) touched: AtomicBool,
}

/// What is known of an object, pending changes included.
pub(crate) struct State {
    /// `None`: not loaded.
    pub(crate) record: Option<InodeRecord>,
    /// The record's part of the file system's set-hash, as it was last put into an operation; 0 before.
    pub(crate) hash: u128,
    /// The place in the queue of the last change to the record.
    pub(crate) unsynced: u64,
    /// The place in the queue of the last change to who may do what.
    pub(crate) rights: u64,
    /// Opens that keep the object alive without a name.
    pub(crate) holds: u32,
    /// On its way out, and nobody can stop it: every handle is stale, but the content is still being removed.
    pub(crate) condemned: bool,
    /// Removed for good: every handle is stale.
    pub(crate) gone: bool,
    pub(crate) directory: Directory,
    pub(crate) file: File,
    cached: Cached,
}

impl Inode {
    fn new(fileid: u64, budget: Arc<Budget>) -> Self {
        Self {
            fileid,
            identity: OnceLock::new(),
            state: Mutex::new(State::new(budget)),
            loading: tokio::sync::Mutex::const_new(()),
            flushing: tokio::sync::Mutex::const_new(()),
            touched: AtomicBool::new(true),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn set_identity(&self, identity: Identity, handle: FileHandle) {
        // Fileids are never used again, so whoever comes first says the same.
        let _ = self.identity.set((identity, handle));
    }

    pub(crate) fn identity(&self) -> Option<&(Identity, FileHandle)> {
        self.identity.get()
    }
}

impl State {
    fn new(budget: Arc<Budget>) -> Self {
        Self {
            record: None,
            hash: 0,
            unsynced: 0,
            rights: 0,
            holds: 0,
            condemned: false,
            gone: false,
            directory: Directory::default(),
            file: File::default(),
            cached: Cached::new(budget),
        }
    }

    /// Whether every handle of the object is stale.
    pub(crate) const fn is_gone(&self) -> bool {
        self.gone || self.condemned
    }

    /// The record of a loaded object that still exists.
    pub(crate) fn record(&self) -> Result<&InodeRecord> {
        if self.condemned { Err(FsError::Stale) } else { self.remains() }
    }

    /// The record of a loaded object that still exists, if only to be removed.
    pub(crate) fn remains(&self) -> Result<&InodeRecord> {
        match &self.record {
            Some(record) if !self.gone => Ok(record),
            Some(_) => Err(FsError::Stale),
            // Loaded before, but wiped by a seal in between.
            None => Err(FsError::Delay),
        }
    }

    pub(crate) fn record_mut(&mut self) -> Result<&mut InodeRecord> {
        match &mut self.record {
            Some(record) if !self.gone && !self.condemned => Ok(record),
            Some(_) => Err(FsError::Stale),
            None => Err(FsError::Delay),
        }
    }

    /// Counts again what is kept in memory.
    pub(crate) fn recount(&mut self) {
        self.cached.set_entries(self.directory.cached() + self.file.cached());
    }

    /// Puts the record as it is now into the operation.
    pub(crate) fn put_record(&mut self, counters: &CounterSet, names: &Names, operation: &mut Operation) {
        let partial = !self.file.is_clean();
        self.put_record_as(partial, counters, names, operation);
    }

    /// Puts the record as it is now into the operation. `partial`: the change attribute in memory, perhaps shown
    /// already, stands for data that is in no operation yet. After a crash it would come back with other content, so a
    /// value that is never shown before then is stored in its place.
    pub(crate) fn put_record_as(
        &mut self,
        partial: bool,
        counters: &CounterSet,
        names: &Names,
        operation: &mut Operation,
    ) {
        if let Some(record) = &self.record {
            let size = if record.kind == Kind::Regular { self.file.flushed_size } else { record.size };
            let change = if partial { counters.change() } else { record.change };
            let bytes = record.encode(size, change);
            let hash = names.inode_hash(&bytes);
            let sum = &mut operation.usage.inodes;
            *sum = sum.wrapping_add(hash).wrapping_sub(std::mem::replace(&mut self.hash, hash));
            operation.put(keys::inode(record.fileid), bytes);
        }
    }

    /// The record of the work that is left: an object without names, truncations not yet carried out.
    pub(crate) fn orphan(&self) -> Orphan {
        let unlinked = self.record.as_ref().is_some_and(|record| record.links == 0);
        Orphan { unlinked, trims: self.file.trims.clone() }
    }

    /// Nothing here is only in memory.
    pub(crate) fn is_clean(&self, core: &Core) -> bool {
        core.queue.is_durable(self.unsynced)
            && self.holds == 0
            && self.file.is_clean()
            && self.directory.unsynced_max().is_none_or(|position| core.queue.is_durable(position))
            && self.file.unsynced_max().is_none_or(|position| core.queue.is_durable(position))
    }
}

/// An object of a file system. A node pins its inode in the cache.
#[derive(Clone)]
pub struct Node {
    pub(crate) inode: Arc<Inode>,
    identity: Identity,
    handle: FileHandle,
}

impl Node {
    pub(crate) fn of(inode: Arc<Inode>) -> Result<Self> {
        let (identity, handle) = *inode.identity().ok_or(FsError::Stale)?;
        Ok(Self { inode, identity, handle })
    }

    /// The object's number, never used again.
    #[must_use]
    pub const fn fileid(&self) -> u64 {
        self.identity.fileid
    }

    /// The object's type, which never changes.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.identity.kind
    }

    /// The object's file handle.
    #[must_use]
    pub const fn handle(&self) -> FileHandle {
        self.handle
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({}, {:?})", self.identity.fileid, self.identity.kind)
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Node {}

/// The states of several inodes, locked in the order of their fileids so that nobody waits in a circle.
pub(crate) struct Locked<'a>(Vec<(u64, MutexGuard<'a, State>)>);

impl<'a> Locked<'a> {
    /// Locks each inode once, however often it is named.
    pub(crate) fn all(inodes: &[&'a Inode]) -> Self {
        let mut sorted: Vec<&'a Inode> = inodes.to_vec();
        sorted.sort_by_key(|inode| inode.fileid);
        sorted.dedup_by_key(|inode| inode.fileid);
        Self(sorted.into_iter().map(|inode| (inode.fileid, inode.lock())).collect())
    }

    /// The state of one of them.
    pub(crate) fn of(&mut self, inode: &Inode) -> &mut State {
        let found = self.0.iter_mut().find(|(fileid, _)| *fileid == inode.fileid);
        found.map(|(_, state)| &mut **state).unwrap_or_else(|| panic!("only locked inodes are asked for"))
    }
}

const SHARDS: usize = 16;

/// The inodes in memory, bounded: those nobody uses and that have nothing unsynced may go.
pub(crate) struct InodeCache {
    shards: [Mutex<CacheShard>; SHARDS],
}

#[derive(Default)]
struct CacheShard {
    inodes: std::collections::HashMap<u64, Arc<Inode>, FileidHash>,
    clock: std::collections::VecDeque<u64>,
}

/// Fileids come from a counter: multiplying spreads them enough.
#[derive(Clone, Copy, Default)]
pub(crate) struct FileidHash;

pub(crate) struct FileidHasher(u64);

impl std::hash::BuildHasher for FileidHash {
    type Hasher = FileidHasher;

    fn build_hasher(&self) -> FileidHasher {
        FileidHasher(0)
    }
}

impl std::hash::Hasher for FileidHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte) ^ self.0);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

/// How many inodes a search for one to evict looks at.
const SWEEP: usize = 8;

impl InodeCache {
    pub(crate) fn new() -> Self {
        Self { shards: Default::default() }
    }

    fn shard(&self, fileid: u64) -> MutexGuard<'_, CacheShard> {
        let index = usize::try_from(fileid % SHARDS as u64).unwrap_or(0);
        self.shards.get(index).unwrap_or(&self.shards[0]).lock()
    }

    /// The one inode in memory of this number, loaded or not.
    pub(crate) fn get(&self, core: &Core, fileid: u64) -> Arc<Inode> {
        let mut shard = self.shard(fileid);
        if let Some(found) = shard.inodes.get(&fileid) {
            found.touched.store(true, Ordering::Relaxed);
            return found.clone();
        }
        if core.budget.inodes_full() {
            // Other file systems give way too, a little later: this one's must not all go at once.
            shard.sweep(core, SWEEP, 2);
        }
        let inode = Arc::new(Inode::new(fileid, core.budget.clone()));
        shard.inodes.insert(fileid, inode.clone());
        shard.clock.push_back(fileid);
        inode
    }

    /// The inode of this number, if it is in memory.
    pub(crate) fn peek(&self, fileid: u64) -> Option<Arc<Inode>> {
        self.shard(fileid).inodes.get(&fileid).inspect(|found| found.touched.store(true, Ordering::Relaxed)).cloned()
    }

    /// Lets a quarter of what nobody has asked for lately go.
    pub(crate) fn sweep(&self, core: &Core) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let steps = shard.inodes.len() / 4;
            shard.sweep(core, steps, steps);
        }
    }

    /// Everything in the cache at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Inode>> {
        self.shards.iter().flat_map(|shard| shard.lock().inodes.values().cloned().collect::<Vec<_>>()).collect()
    }
}

impl CacheShard {
    fn sweep(&mut self, core: &Core, steps: usize, mut evict_max: usize) {
        for _ in 0..steps {
            if evict_max == 0 {
                return;
            }
            let Some(fileid) = self.clock.pop_front() else { return };
            let Some(inode) = self.inodes.get(&fileid) else { continue };
            let used = inode.touched.swap(false, Ordering::Relaxed);
            if !used
                && Arc::strong_count(inode) == 1
                && inode.state.try_lock().is_some_and(|state| state.is_clean(core))
            {
                self.inodes.remove(&fileid);
                evict_max -= 1;
            } else {
                self.clock.push_back(fileid);
            }
        }
    }
}

impl Core {
    /// Loads the record if it is not there. Costs one lock when it is.
    pub(crate) async fn load(&self, inode: &Inode) -> Result<()> {
        if inode.lock().record.is_some() {
            return Ok(());
        }
        let _turn = inode.loading.lock().await;
        if inode.lock().record.is_some() {
            return Ok(());
        }
        let bytes = self.get_record(&keys::inode(inode.fileid)).await?.ok_or(FsError::Stale)?;
        let record = InodeRecord::decode(&bytes)?;
        if record.fileid != inode.fileid {
            return Err(FsError::Io("inode record of another object".into()));
        }
        // Few objects have one, and all of those are known.
        let has_orphan = self.orphans.lock().contains(&inode.fileid);
        let orphan = if has_orphan { self.get_record(&keys::orphan(inode.fileid)).await? } else { None };
        let trims = orphan.map(|orphan| Orphan::decode(&orphan)).transpose()?.map(|orphan| orphan.trims);
        let identity = Identity { fileid: record.fileid, generation: record.generation, kind: record.kind };
        inode.set_identity(identity, self.handles.make(identity));
        let hash = self.keys.names()?.inode_hash(&bytes);
        let mut state = inode.lock();
        state.hash = hash;
        state.file.trims = trims.unwrap_or_default();
        state.file.flushed_size = record.size;
        if record.entries == 0 {
            state.file.set_map_known();
        }
        state.record = Some(record);
        Ok(())
    }

    /// The loaded node of a fileid.
    pub(crate) async fn node(&self, fileid: u64) -> Result<Node> {
        let inode = self.cache.get(self, fileid);
        self.load(&inode).await?;
        Node::of(inode)
    }
}
