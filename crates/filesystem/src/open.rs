//! Making, opening and closing a file system, and its background tasks.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use crypto::Key;
use storage::{Keyspace, Scan, SegmentId};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{
    FsError, Kind, Node, Parts, Result, Settings, Watermark,
    core::Core,
    keys,
    lease::{LeaseState, LeaseStatus, Which},
    names::Names,
    operation::Operation,
    record::{Counters, InodeRecord, Superblock, Usage},
};

/// The fileid of every root directory.
pub(crate) const ROOT: u64 = 1;

/// How long opening waits for the key service before the file system opens sealed.
const OPEN_WAIT: Duration = Duration::from_secs(10);

/// How long closing waits for what has not been written yet. A withheld key or a full disk may keep it for ever.
const CLOSE_WAIT: Duration = Duration::from_secs(60);

/// Metadata bytes that EFS meters for each object beside its data.
const METERED_METADATA: i64 = 2048;

/// EFS shows 8 EiB, whatever there is.
const TOTAL_BYTES: u64 = 1 << 63;

/// A file system that this process owns. Clones are the same file system.
#[derive(Clone)]
pub struct FileSystem {
    pub(crate) core: Arc<Core>,
    _guard: Arc<StopGuard>,
}

/// Ends the background tasks when the last clone is dropped.
struct StopGuard(Arc<Core>);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.stop.send_replace(true);
        self.0.queue.end();
        // What was never flushed no longer counts against the process.
        self.0.drop_dirty();
    }
}

/// What statfs shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// The size shown: 8 EiB, as at EFS.
    pub bytes_total: u64,
    /// The rest of it.
    pub bytes_free: u64,
    /// The same: nothing is kept from users.
    pub bytes_available: u64,
    /// The most objects.
    pub files_total: u64,
    /// The rest of them.
    pub files_free: u64,
    /// `SizeInBytes`: 2 KiB for each object and its data in 4 KiB steps.
    pub metered_bytes: u64,
    /// Objects there are.
    pub objects: u64,
}

impl FileSystem {
    /// Makes a file system in an empty shard: a root directory of 0:0 with mode 755.
    ///
    /// # Errors
    /// [`FsError::Exists`] if there is one already; [`FsError::Sealed`] without keys.
    pub async fn create(parts: Parts, settings: Settings) -> Result<Self> {
        let core = Core::new(parts, settings)?;
        if core.get_raw(Keyspace::Records, keys::SUPERBLOCK).await?.is_some() {
            return Err(FsError::Exists);
        }
        core.fetch_keys().await?;
        let core = Arc::new(core);
        core.start_committer();
        let operation = core.first_records()?;
        let position = core.queue.push(operation);
        core.queue.durable(position).await?;
        Ok(core.start().await)
    }

    /// Opens the file system in a shard. If a key is withheld it opens sealed, and serves when the key is back.
    ///
    /// # Errors
    /// [`FsError::NotFound`] if the shard holds none; [`FsError::Io`] if it cannot be read.
    pub async fn open(parts: Parts, settings: Settings) -> Result<Self> {
        let core = Arc::new(Core::new(parts, settings)?);
        if core.get_raw(Keyspace::Records, keys::SUPERBLOCK).await?.is_none() {
            return Err(FsError::NotFound);
        }
        match core.fetch_keys().await {
            Ok(()) => core.get_ready().await?,
            Err(FsError::Sealed(_)) => {}
            Err(error) => return Err(error),
        }
        core.start_committer();
        Ok(core.start().await)
    }

    /// Flushes, commits, ends the tasks and closes the shard. Nothing is left to replay.
    ///
    /// # Errors
    /// What kept data from being flushed within a minute. The file system is closed all the same.
    pub async fn close(&self) -> Result<()> {
        let core = &self.core;
        let write = async {
            let flushed = core.flush_all().await;
            flushed.and(core.queue.durable(core.queue.last()).await)
        };
        let written = tokio::select! {
            biased;
            written = write => written,
            // Without the metadata key nothing becomes durable any more.
            () = core.keys.metadata_gone() => Err(core.keys.sealed()),
            () = core.env.sleep(CLOSE_WAIT) => Err(FsError::Delay),
        };
        core.stop.send_replace(true);
        core.queue.end();
        let closed = core.shard.close().await;
        core.keys.close();
        written?;
        closed.map_err(FsError::from)
    }

    /// Whether closing it now would find nothing to do: nothing unstable, nothing on its way to the disk, no large work under way. In
    /// a sealed file system that work waits for the keys, and goes on after any opening.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let core = &self.core;
        core.dirty.lock().is_empty()
            && core.queue.is_durable(core.queue.last())
            && (core.is_reaped() || core.keys.check().is_err())
    }

    /// Turns true when the shard has failed: every call then answers [`FsError::Failed`]; drop this and open again.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<bool> {
        self.core.queue.failed()
    }

    /// The file system's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.core.id
    }

    /// Its limits.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.core.settings
    }

    /// The root directory.
    ///
    /// # Errors
    /// [`FsError::Sealed`] or [`FsError::Io`].
    pub async fn root(&self) -> Result<Node> {
        self.core.enter()?;
        self.core.node(ROOT).await
    }

    /// The object of a handle. Of a sealed file system: a node whose every operation fails.
    ///
    /// # Errors
    /// [`FsError::BadHandle`] or [`FsError::Stale`].
    pub async fn resolve(&self, handle: &[u8]) -> Result<Node> {
        let core = &self.core;
        core.queue.check()?;
        let fileid = handle.get(9..17).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        let fileid = u64::from_be_bytes(fileid.ok_or(FsError::BadHandle)?);
        // A handle that is known needs no MAC computed.
        let known = core
            .cache
            .peek(fileid)
            .filter(|inode| inode.identity().is_some_and(|(_, known)| crypto::equal(known.bytes(), handle)));
        let inode = match known {
            Some(inode) => inode,
            None => {
                let identity = core.handles.open(handle)?;
                let inode = core.cache.get(core, identity.fileid);
                inode.set_identity(identity, core.handles.make(identity));
                if inode.identity().is_none_or(|(known, _)| *known != identity) {
                    return Err(FsError::Stale);
                }
                inode
            }
        };
        if core.keys.check().is_ok() {
            core.load(&inode).await?;
            if inode.lock().is_gone() {
                return Err(FsError::Stale);
            }
        }
        Node::of(inode)
    }

    /// Waits until all that the compound wrote or read is durable.
    ///
    /// # Errors
    /// [`FsError::Failed`]: nobody may be answered; close the connection.
    pub async fn durable(&self, watermark: &Watermark) -> Result<()> {
        self.core.queue.durable(watermark.position()).await
    }

    /// Size and use.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let usage = self.core.totals.lock().usage;
        let objects = u64::try_from(usage.objects).unwrap_or(0);
        let metered = usage.data.saturating_add(usage.objects.saturating_mul(METERED_METADATA));
        let metered_bytes = u64::try_from(metered).unwrap_or(0);
        let bytes_free = TOTAL_BYTES.saturating_sub(metered_bytes);
        Statistics {
            bytes_total: TOTAL_BYTES,
            bytes_free,
            bytes_available: bytes_free,
            files_total: u64::from(u32::MAX),
            files_free: u64::from(u32::MAX).saturating_sub(objects),
            metered_bytes,
            objects,
        }
    }

    /// Something about a key may have changed: ask again now, and seal at once if it is refused.
    pub fn key_notice(&self) {
        self.core.keys.notice();
    }

    /// The state of the key leases.
    #[must_use]
    pub fn lease_status(&self) -> LeaseStatus {
        self.core.keys.status()
    }

    /// Tells when the file system is sealed or serves again.
    #[must_use]
    pub fn lease_watch(&self) -> watch::Receiver<LeaseState> {
        self.core.keys.watch()
    }

    /// A mark of now, for [`sealed_since`](Self::sealed_since): take it before a compound looks at anything.
    #[must_use]
    pub fn seal_mark(&self) -> u64 {
        self.core.keys.seals()
    }

    /// Whether what was read since `mark` may no longer be sent. Ask when the compound is durable, just before its
    /// reply is queued.
    ///
    /// # Errors
    /// [`FsError::Sealed`] with the cause of the seal that has come since, over or not.
    pub fn sealed_since(&self, mark: u64) -> Result<()> {
        if self.core.keys.seals() == mark { self.core.keys.check() } else { Err(self.core.keys.sealed()) }
    }

    /// Whether data read under `lease` ([`ReadData::lease`](crate::ReadData)) may still be sent.
    #[must_use]
    pub fn lease_valid(&self, lease: u64) -> bool {
        self.core.keys.seals() == lease && self.core.keys.check().is_ok()
    }

    /// Grace is over: orphans that nobody holds are removed from now on.
    pub fn collect_orphans(&self) {
        self.core.collecting.store(true, Ordering::Release);
        let orphans: Vec<u64> = self.core.orphans.lock().iter().copied().collect();
        self.core.reap.lock().extend(orphans);
        self.core.reaper.notify_one();
    }
}

impl Core {
    /// Both keys, for the first time.
    async fn fetch_keys(&self) -> Result<()> {
        let limit = self.env.now() + OPEN_WAIT;
        let (metadata, data) = tokio::join!(self.fetch_key(Which::Metadata, limit), self.fetch_key(Which::Data, limit));
        let mut withheld = None;
        for (which, fetched) in [(Which::Metadata, metadata), (Which::Data, data)] {
            if let Err((cause, why)) = fetched {
                tracing::warn!(file_system = %self.id, ?which, ?cause, why, "a key is withheld");
                self.keys.stop_serving(which, cause, why);
                withheld = withheld.or(Some(cause));
            }
        }
        withheld.map_or(Ok(()), |cause| Err(FsError::Sealed(cause)))
    }

    async fn start(self: Arc<Self>) -> FileSystem {
        for which in [Which::Metadata, Which::Data] {
            // Before anyone can give notice, whenever the keeper gets to run.
            let notices = self.notices();
            self.unseal(which).await;
            tokio::spawn(self.clone().run_keeper(which, notices));
        }
        tokio::spawn(self.clone().run_janitor());
        tokio::spawn(self.clone().run_reaper());
        tokio::spawn(self.clone().run_packer());
        tokio::spawn(self.clone().run_cleaner());
        FileSystem { _guard: Arc::new(StopGuard(self.clone())), core: self }
    }

    /// The records of an empty file system.
    fn first_records(&self) -> Result<Operation> {
        let mut superblock = Superblock { name_key: Zeroizing::new(self.env.random()), root: ROOT };
        let counters = Counters { change: 2, fileid: ROOT + 1, generation: 2, extent: 1 };
        let now = self.env.wall();
        let root = InodeRecord {
            fileid: ROOT,
            generation: 1,
            kind: Kind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            links: 2,
            size: 0,
            mapped: 0,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            change: 1,
            parent: ROOT,
            depth: 0,
            entries: 0,
            set_hash: 0,
            name_bytes: 0,
            verifier: None,
            device: crate::Device::default(),
            target: Box::default(),
        };
        let mut operation = Operation::new(None, None);
        operation.put(Bytes::from_static(keys::SUPERBLOCK), superblock.encode());
        operation.put(Bytes::from_static(keys::COUNTERS), counters.encode());
        let bytes = root.encode(0, root.change);
        let names = Names::new(&Key::take(&mut superblock.name_key[..])?, self.settings.cookie_bits);
        let data = i64::try_from(root.space_used()).unwrap_or(0);
        operation.usage = Usage { objects: 1, data, inodes: names.inode_hash(&bytes) };
        operation.put(keys::inode(ROOT), bytes);
        Ok(operation)
    }

    /// Reads what every operation relies on. Again after a seal of the metadata key, when only the names are missing.
    /// Called by one at a time: counters that were in use must not be set back.
    pub(crate) async fn get_ready(&self) -> Result<()> {
        let record = self.get_record(keys::SUPERBLOCK).await?;
        let record = Zeroizing::new(record.ok_or_else(|| FsError::Io("the superblock is missing".into()))?);
        let mut superblock = Superblock::decode(&record)?;
        let key = Key::take(&mut superblock.name_key[..])?;
        self.keys.set_names(Names::new(&key, self.settings.cookie_bits));
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let counters = Counters::decode(&self.get_record(keys::COUNTERS).await?.unwrap_or_default())?;
        let usage = self.get_record(keys::USAGE).await?;
        let usage = usage.map(|usage| Usage::decode(&usage)).transpose()?.unwrap_or_default();
        let mut live = HashMap::new();
        for (key, value) in self.scan_records(&[keys::LIVE]).await? {
            let bytes = <[u8; 8]>::try_from(&value[..]).map_err(|_| FsError::Io("malformed record".into()))?;
            live.insert(SegmentId(keys::number(&key)?), i64::from_be_bytes(bytes));
        }
        for (key, _) in self.scan_records(&[keys::ORPHAN]).await? {
            self.orphans.lock().insert(keys::number(&key)?);
        }
        self.counters.start(counters);
        let mut totals = self.totals.lock();
        totals.usage = usage;
        totals.live = live;
        drop(totals);
        self.ready.store(true, Ordering::Release);
        // Counters are reserved by the first change, so that opening writes nothing.
        // Truncations go on at once; objects without names wait for the end of grace.
        self.reap.lock().extend(self.orphans.lock().iter().copied());
        self.reaper.notify_one();
        Ok(())
    }

    /// All records whose key begins with `prefix`, opened.
    pub(crate) async fn scan_records(&self, prefix: &[u8]) -> Result<Vec<(Bytes, Vec<u8>)>> {
        let mut found = Vec::new();
        let mut scan = Scan::prefix(Keyspace::Records, prefix);
        loop {
            let page = self.shard.scan(scan.clone()).await?;
            for (key, value) in &page.items {
                found.push((key.clone(), self.open_record(key, value)?));
            }
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return Ok(found),
            }
        }
    }

    /// Wipes every record from memory that the shard has too; for when the metadata key goes.
    pub(crate) fn unload_all(&self) {
        for inode in self.cache.all() {
            let mut state = inode.lock();
            if self.queue.is_durable(state.unsynced) && state.file.is_clean() {
                state.record = None;
                state.directory.trim(self);
                state.file.trim(self);
                state.recount();
            }
        }
    }
}
