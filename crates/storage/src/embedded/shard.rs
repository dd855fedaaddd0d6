//! The embedded shard: opening, reading, and the handle that others hold.

use std::{
    fs::OpenOptions,
    ops::Bound,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use env::Env;
use fjall::{AbstractTree as _, OwnedWriteBatch, PersistMode, Readable as _};
use parking_lot::RwLock;
use tokio::sync::{oneshot, watch};

use super::{
    EngineInner,
    commit::{Committer, Queue},
    directory::{Directory, DirectoryLock},
    floor::Floor,
    health::Health,
    history::{self, EPOCH_KEY, Record, Trouble},
    journal, keyspace_options, pool,
    segments::SegmentFiles,
    space::SpaceWatch,
};
use crate::{
    Batch, BoxFuture, CommitError, Keyspace, Limits, Now, Opening, Page, Scan, Seq, Shard, Snapshot, Space,
    StorageError,
};

const MEMTABLE_BYTES: u64 = 16 << 20;
const HISTORY_MEMTABLE_BYTES: u64 = 4 << 20;
const CURE: &str = "restore the shard's directory from a backup";

/// Values up to this size are copied out of their block; larger ones keep it.
const COPY_BYTES: usize = 4096;

/// The database and its keyspaces. Clones are handles.
#[derive(Clone)]
pub(crate) struct Maps {
    pub(crate) database: fjall::Database,
    records: fjall::Keyspace,
    inline: fjall::Keyspace,
    pub(crate) history: fjall::Keyspace,
}

/// What an opening holds until it ends.
pub(crate) struct Opened {
    maps: Maps,
    lock: DirectoryLock,
    engine_dir: PathBuf,
}

/// What the handle, the commit thread and the monitor share.
pub(crate) struct Core {
    pub(crate) env: Env,
    pub(crate) health: Arc<Health>,
    pub(crate) queue: Queue,
    pub(crate) durable: AtomicU64,
    pub(crate) space: Arc<SpaceWatch>,
    pub(crate) opened: RwLock<Option<Opened>>,
}

struct EmbeddedShard {
    core: Arc<Core>,
    engine: Arc<EngineInner>,
}

struct EmbeddedSnapshot {
    snapshot: fjall::Snapshot,
    maps: Maps,
    engine: Arc<EngineInner>,
}

/// Opens the database in a locked directory, checks its history, and starts its thread.
pub(crate) fn open(engine: &Arc<EngineInner>, directory: Directory) -> Result<Opening, StorageError> {
    let engine_dir = directory.engine();
    let maps = open_database(engine, &engine_dir)?;
    let segments_dir = directory.segments();
    let Directory { path, id, chain, mut floor, lock } = directory;

    let head = check_history(&maps, &chain, &floor.current(), &engine_dir)?;
    let epoch = next_epoch(&maps, &engine_dir)?;
    let opening = Batch::new(0);
    let record = Record::following(&chain, &head.1, Seq(head.0.0 + 1), &opening);
    let mut batch = OwnedWriteBatch::with_capacity(maps.database.clone(), 2);
    batch.insert(&maps.history, EPOCH_KEY, epoch.to_be_bytes().as_slice());
    batch.insert(&maps.history, Record::key(record.seq).as_slice(), record.encode().as_slice());
    let opened = batch.durability(Some(PersistMode::SyncData)).commit();
    opened.map_err(|error| engine_error(&engine_dir, &error))?;
    floor.raise(&chain, Floor { seq: record.seq, hash: record.hash, clean: false })?;

    let health = Arc::new(Health::new(path.display().to_string()));
    let space = Arc::new(SpaceWatch::new(&path, engine.budgets.reserve_bytes));
    let core = Arc::new(Core {
        env: engine.env.clone(),
        health: health.clone(),
        queue: Queue::default(),
        durable: AtomicU64::new(record.seq.0),
        space: space.clone(),
        opened: RwLock::new(Some(Opened { maps: maps.clone(), lock, engine_dir })),
    });
    let last = (record.seq, record.hash);
    let committer = Committer { core: core.clone(), maps, chain, floor, last, flushed: head.0 };
    pool::spawn("storage-commit", move || committer.run())?;
    engine.shards.add(&core);

    let segments = SegmentFiles::new(engine.clone(), segments_dir, id, epoch, health, space);
    let shard = EmbeddedShard { core, engine: engine.clone() };
    Ok((Arc::new(shard), Arc::new(segments)))
}

fn open_database(engine: &EngineInner, dir: &Path) -> Result<Maps, StorageError> {
    journal::prepare(dir)?;
    let open = || {
        let database = fjall::Database::open(engine.configuration(dir))?;
        Ok(Maps {
            records: database.keyspace("records", || keyspace_options(MEMTABLE_BYTES))?,
            inline: database.keyspace("inline", || keyspace_options(MEMTABLE_BYTES))?,
            history: database.keyspace("history", || keyspace_options(HISTORY_MEMTABLE_BYTES))?,
            database,
        })
    };
    // fjall panics on some kinds of damage; here that is an error as any other.
    match panic::catch_unwind(AssertUnwindSafe(open)) {
        Ok(result) => result.map_err(|error| engine_error(dir, &error)),
        Err(_) => Err(StorageError::damaged(dir, "the engine's files are damaged", CURE)),
    }
}

/// Says what fjall said, with the file as far as it tells.
fn engine_error(dir: &Path, error: &fjall::Error) -> StorageError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => match error.kind() {
            std::io::ErrorKind::UnexpectedEof => StorageError::damaged(dir, "a file of the engine is too short", CURE),
            _ => StorageError::io(dir, error),
        },
        fjall::Error::JournalRecovery(error) => {
            StorageError::damaged(&journal::newest(dir), format!("the journal is damaged: {error:?}"), CURE)
        }
        fjall::Error::Locked => StorageError::Locked { path: dir.join("lock").display().to_string() },
        other => StorageError::damaged(dir, format!("the engine cannot read its files: {other}"), CURE),
    }
}

/// Where the log ends, if it holds together and reaches the floor.
fn check_history(
    maps: &Maps,
    chain: &crypto::Prf,
    floor: &Floor,
    dir: &Path,
) -> Result<(Seq, history::Hash), StorageError> {
    let read = |seq: Seq| {
        let value = maps.history.get(Record::key(seq)).map_err(|error| engine_error(dir, &error))?;
        Ok(value.and_then(|value| Record::decode(&value)))
    };
    if floor.clean {
        // Closed in good order: the log must end right at the floor, and the rest need not be looked at.
        let next = read(Seq(floor.seq.0 + 1))?.is_some_and(|next| next.seq > floor.seq);
        if !next && read(floor.seq)?.is_some_and(|last| last.seq == floor.seq && last.hash == floor.hash) {
            return Ok((floor.seq, floor.hash));
        }
    }
    let mut records = Vec::new();
    for item in maps.history.iter() {
        let (key, value) = item.into_inner().map_err(|error| engine_error(dir, &error))?;
        if &*key != EPOCH_KEY {
            records.push(Record::decode(&value));
        }
    }
    let head = history::verify(records.into_iter(), chain, (floor.seq, floor.hash)).map_err(|trouble| {
        let what = match trouble {
            Trouble::BelowFloor { head } => {
                format!("the journal ends at batch {}, but batch {} was durable", head.0, floor.seq.0)
            }
            Trouble::Missing(seq) => format!("batch {} is missing from the journal", seq.0),
            Trouble::Unchained(seq) => format!("batch {} does not follow the one before it", seq.0),
            Trouble::Unreadable => "the history of batches holds something else".to_owned(),
        };
        StorageError::damaged(&journal::newest(dir), what, CURE)
    })?;
    Ok(head.map_or_else(Default::default, |head| (head.seq, head.hash)))
}

fn next_epoch(maps: &Maps, dir: &Path) -> Result<u32, StorageError> {
    let damaged = || StorageError::damaged(dir, "the opening counter is damaged", CURE);
    let stored = maps.history.get(EPOCH_KEY).map_err(|error| engine_error(dir, &error))?;
    let last = match stored {
        Some(bytes) => u32::from_be_bytes(bytes.as_ref().try_into().map_err(|_| damaged())?),
        None => 0,
    };
    last.checked_add(1).ok_or_else(damaged)
}

impl Maps {
    pub(crate) fn of(&self, keyspace: Keyspace) -> &fjall::Keyspace {
        match keyspace {
            Keyspace::Records => &self.records,
            Keyspace::Inline => &self.inline,
        }
    }

    pub(crate) fn all(&self) -> [&fjall::Keyspace; 3] {
        [&self.records, &self.inline, &self.history]
    }

    fn get_now(&self, keyspace: Keyspace, key: &[u8], seqno: u64) -> Result<Now<Option<Bytes>>, StorageError> {
        let tree = &self.of(keyspace).tree;
        if let Some(found) = tree.active_memtable().get(key, seqno) {
            return Ok(Now::Hit((!found.is_tombstone()).then(|| to_bytes(found.value))));
        }
        if tree.table_count() == 0 {
            return Ok(Now::Hit(tree.get(key, seqno).map_err(|error| self.error(error.into()))?.map(to_bytes)));
        }
        Ok(Now::WouldBlock)
    }

    fn page(&self, snapshot: &fjall::Snapshot, scan: &Scan) -> Result<Page, StorageError> {
        if scan.is_empty() {
            return Ok(Page::default());
        }
        let bounds: (Bound<&Bytes>, Bound<&Bytes>) = (scan.from.as_ref(), scan.to.as_ref());
        let items = snapshot.range::<&Bytes, _>(self.of(scan.keyspace), bounds);
        let read = |item: fjall::Guard| {
            let (key, value) = item.into_inner().map_err(|error| self.error(error))?;
            Ok((to_bytes(key), to_bytes(value)))
        };
        if scan.reverse { Page::take(scan, items.rev().map(read)) } else { Page::take(scan, items.map(read)) }
    }

    fn has_tables(&self, keyspace: Keyspace) -> bool {
        self.of(keyspace).tree.table_count() > 0
    }

    fn error(&self, error: fjall::Error) -> StorageError {
        engine_error(self.records.path().parent().unwrap_or(Path::new("engine")), &error)
    }
}

fn to_bytes(value: fjall::Slice) -> Bytes {
    if value.len() <= COPY_BYTES { Bytes::copy_from_slice(&value) } else { Bytes::from_owner(value) }
}

impl Opened {
    /// Lets the database go. After a clean end the journals hold nothing that tables do not, and are emptied, so that
    /// the next start reads nothing.
    pub(crate) fn end(self, clean: bool) {
        let Self { maps, lock, engine_dir } = self;
        drop(maps);
        if clean && let [only] = journal::all(&engine_dir).as_slice() {
            let emptied = OpenOptions::new().write(true).open(only).and_then(|file| {
                file.set_len(0)?;
                file.sync_all()
            });
            if let Err(error) = emptied {
                tracing::warn!(path = %only.display(), %error, "the journal could not be emptied; it will be read again");
            }
        }
        drop(lock);
    }
}

impl Core {
    pub(crate) fn memtable_bytes(&self) -> u64 {
        self.opened.read().as_ref().map_or(0, |opened| opened.maps.database.write_buffer_size())
    }

    fn maps(&self) -> Result<Maps, StorageError> {
        self.opened.read().as_ref().map(|opened| opened.maps.clone()).ok_or_else(|| self.health.stopped())
    }
}

impl EmbeddedShard {
    fn on_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Maps) -> Result<T, StorageError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        match self.core.maps() {
            Ok(maps) => self.engine.pool.run(move || work(&maps)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl Snapshot for EmbeddedShard {
    fn get_now(&self, keyspace: Keyspace, key: &[u8]) -> Result<Now<Option<Bytes>>, StorageError> {
        let opened = self.core.opened.read();
        let opened = opened.as_ref().ok_or_else(|| self.core.health.stopped())?;
        opened.maps.get_now(keyspace, key, u64::MAX)
    }

    fn get<'a>(&'a self, keyspace: Keyspace, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        match self.get_now(keyspace, key) {
            Ok(Now::Hit(value)) => Box::pin(std::future::ready(Ok(value))),
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok(Now::WouldBlock) => {
                let key = Bytes::copy_from_slice(key);
                self.on_pool(move |maps| get(maps, keyspace, &key, u64::MAX))
            }
        }
    }

    fn multi_get<'a>(
        &'a self,
        keyspace: Keyspace,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StorageError>> {
        let keys = keys.to_vec();
        self.on_pool(move |maps| {
            let snapshot = maps.database.snapshot();
            keys.iter().map(|key| get(maps, keyspace, key, snapshot.seqno())).collect()
        })
    }

    fn scan_now(&self, scan: &Scan) -> Result<Now<Page>, StorageError> {
        let opened = self.core.opened.read();
        let maps = &opened.as_ref().ok_or_else(|| self.core.health.stopped())?.maps;
        if maps.has_tables(scan.keyspace) {
            return Ok(Now::WouldBlock);
        }
        maps.page(&maps.database.snapshot(), scan).map(Now::Hit)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, StorageError>> {
        match self.scan_now(&scan) {
            Ok(Now::Hit(page)) => Box::pin(std::future::ready(Ok(page))),
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok(Now::WouldBlock) => self.on_pool(move |maps| maps.page(&maps.database.snapshot(), &scan)),
        }
    }
}

fn get(maps: &Maps, keyspace: Keyspace, key: &[u8], seqno: u64) -> Result<Option<Bytes>, StorageError> {
    let found = maps.of(keyspace).tree.get(key, seqno).map_err(|error| maps.error(error.into()))?;
    Ok(found.map(to_bytes))
}

impl Shard for EmbeddedShard {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        match self.core.maps() {
            Ok(maps) => {
                let snapshot = maps.database.snapshot();
                Arc::new(EmbeddedSnapshot { snapshot, maps, engine: self.engine.clone() })
            }
            Err(error) => Arc::new(NoSnapshot(error)),
        }
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Seq, CommitError>> {
        if !batch.fits(&self.limits()) {
            return Box::pin(std::future::ready(Err(CommitError::TooLarge)));
        }
        let token = batch.token;
        let answer = self.core.queue.push(batch);
        Box::pin(async move { answer.await.unwrap_or(Err(CommitError::Unknown(token))) })
    }

    fn durable(&self) -> Seq {
        Seq(self.core.durable.load(Ordering::Acquire))
    }

    fn fenced(&self) -> watch::Receiver<bool> {
        self.core.health.watch()
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn committed(&self, token: u128) -> BoxFuture<'_, Result<bool, StorageError>> {
        self.on_pool(move |maps| {
            for item in maps.history.iter() {
                let (key, value) = item.into_inner().map_err(|error| maps.error(error))?;
                if &*key != EPOCH_KEY && Record::decode(&value).is_some_and(|record| record.token == token) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    fn space(&self) -> Space {
        self.core.space.space(&self.core.env)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        let (closed, done) = oneshot::channel();
        self.core.queue.close(closed);
        Box::pin(async move { done.await.unwrap_or_else(|_| Err(self.core.health.stopped())) })
    }
}

impl Drop for EmbeddedShard {
    /// Dropping without closing is a crash in slow motion: nothing durable is lost, and the next start replays.
    fn drop(&mut self) {
        self.core.queue.abandon();
    }
}

impl EmbeddedSnapshot {
    fn on_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&fjall::Snapshot, &Maps) -> Result<T, StorageError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let (snapshot, maps) = (self.snapshot.clone(), self.maps.clone());
        self.engine.pool.run(move || work(&snapshot, &maps))
    }
}

impl Snapshot for EmbeddedSnapshot {
    fn get_now(&self, keyspace: Keyspace, key: &[u8]) -> Result<Now<Option<Bytes>>, StorageError> {
        self.maps.get_now(keyspace, key, self.snapshot.seqno())
    }

    fn get<'a>(&'a self, keyspace: Keyspace, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        match self.get_now(keyspace, key) {
            Ok(Now::Hit(value)) => Box::pin(std::future::ready(Ok(value))),
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok(Now::WouldBlock) => {
                let key = Bytes::copy_from_slice(key);
                self.on_pool(move |snapshot, maps| get(maps, keyspace, &key, snapshot.seqno()))
            }
        }
    }

    fn multi_get<'a>(
        &'a self,
        keyspace: Keyspace,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StorageError>> {
        let keys = keys.to_vec();
        self.on_pool(move |snapshot, maps| keys.iter().map(|key| get(maps, keyspace, key, snapshot.seqno())).collect())
    }

    fn scan_now(&self, scan: &Scan) -> Result<Now<Page>, StorageError> {
        if self.maps.has_tables(scan.keyspace) {
            return Ok(Now::WouldBlock);
        }
        self.maps.page(&self.snapshot, scan).map(Now::Hit)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, StorageError>> {
        match self.scan_now(&scan) {
            Ok(Now::Hit(page)) => Box::pin(std::future::ready(Ok(page))),
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok(Now::WouldBlock) => self.on_pool(move |snapshot, maps| maps.page(snapshot, &scan)),
        }
    }
}

/// What a snapshot of an ended shard is.
struct NoSnapshot(StorageError);

impl NoSnapshot {
    fn refuse<T: Send + 'static>(&self) -> BoxFuture<'static, Result<T, StorageError>> {
        Box::pin(std::future::ready(Err(self.0.clone())))
    }
}

impl Snapshot for NoSnapshot {
    fn get_now(&self, _: Keyspace, _: &[u8]) -> Result<Now<Option<Bytes>>, StorageError> {
        Err(self.0.clone())
    }

    fn get<'a>(&'a self, _: Keyspace, _: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        self.refuse()
    }

    fn multi_get<'a>(&'a self, _: Keyspace, _: &'a [Bytes]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StorageError>> {
        self.refuse()
    }

    fn scan_now(&self, _: &Scan) -> Result<Now<Page>, StorageError> {
        Err(self.0.clone())
    }

    fn scan(&self, _: Scan) -> BoxFuture<'_, Result<Page, StorageError>> {
        self.refuse()
    }
}
