//! What all operations of one file system share, and the doors they go through.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use crypto::Prf;
use env::{Env, Instant};
use parking_lot::Mutex;
use storage::{Keyspace, Now, Segments, Shard};
use tokio::sync::{Notify, watch};

use crate::{
    Budget, Context, FsError, Result, Settings,
    cleaner::Cleaner,
    committer::{Queue, Totals},
    counters::CounterSet,
    handle::Handles,
    inode::{InodeCache, State},
    janitor::Janitor,
    lease::{KeyRing, KeySource, Which},
    operation::Operation,
    plain::PlainCache,
    seal::Binding,
};

/// What a file system is made of; whoever opens it brings it along.
pub struct Parts {
    /// The file system's id, `fs-...`: every seal is bound to it.
    pub id: String,
    /// Its records.
    pub shard: Arc<dyn Shard>,
    /// Its bulk data.
    pub segments: Arc<dyn Segments>,
    /// Clocks and randomness.
    pub env: Env,
    /// Shared by all file systems of the process.
    pub budget: Arc<Budget>,
    /// Where its keys are unwrapped.
    pub keys: Arc<dyn KeySource>,
    /// The key of its file handles, made once; it is there when the file system is sealed, too.
    pub handle_key: Prf,
}

pub(crate) struct Core {
    pub(crate) id: String,
    pub(crate) env: Env,
    pub(crate) shard: Arc<dyn Shard>,
    pub(crate) segments: Arc<dyn Segments>,
    pub(crate) settings: Settings,
    pub(crate) budget: Arc<Budget>,
    pub(crate) source: Arc<dyn KeySource>,
    pub(crate) keys: KeyRing,
    pub(crate) binding: Binding,
    pub(crate) handles: Handles,
    pub(crate) cache: InodeCache,
    pub(crate) queue: Queue,
    pub(crate) held_since: Mutex<Option<(u64, Instant)>>,
    pub(crate) counters: CounterSet,
    pub(crate) reserving: Mutex<()>,
    pub(crate) totals: Mutex<Totals>,
    pub(crate) plain: PlainCache,
    /// Sealed inline bytes whose batch is not durable yet.
    pub(crate) fresh: Mutex<HashMap<u64, Bytes>>,
    pub(crate) cleaner: Cleaner,
    /// Flushes that wait for their file.
    pub(crate) flushes: AtomicUsize,
    pub(crate) verifier: AtomicU64,
    /// Directories move across parents one at a time.
    pub(crate) moving: tokio::sync::Mutex<()>,
    /// Objects with an orphan record.
    pub(crate) orphans: Mutex<BTreeSet<u64>>,
    pub(crate) reap: Mutex<Vec<u64>>,
    pub(crate) reaper: Notify,
    /// The reaper is at work, or waits to go on with it.
    pub(crate) reaping: AtomicBool,
    /// Grace is over: nobody will reclaim an orphan any more.
    pub(crate) collecting: AtomicBool,
    /// Inodes with unstable data.
    pub(crate) dirty: Mutex<BTreeSet<u64>>,
    pub(crate) janitor: Janitor,
    /// Counters, totals and orphans have been read.
    pub(crate) ready: AtomicBool,
    pub(crate) stop: watch::Sender<bool>,
}

impl Core {
    pub(crate) fn new(parts: Parts, settings: Settings) -> Result<Self> {
        let verifier = u64::from_be_bytes(parts.env.random());
        Ok(Self {
            binding: Binding::new(&parts.id)?,
            handles: Handles::new(parts.handle_key, &parts.id),
            keys: KeyRing::new(parts.env.clone(), settings.key_lease),
            cache: InodeCache::new(),
            queue: Queue::new(settings.queue_operations_max),
            held_since: Mutex::new(None),
            counters: CounterSet::new(),
            reserving: Mutex::new(()),
            totals: Mutex::default(),
            plain: PlainCache::new(parts.budget.clone()),
            fresh: Mutex::default(),
            cleaner: Cleaner::new(),
            flushes: AtomicUsize::new(0),
            verifier: AtomicU64::new(verifier),
            moving: tokio::sync::Mutex::const_new(()),
            orphans: Mutex::default(),
            reap: Mutex::default(),
            reaper: Notify::new(),
            reaping: AtomicBool::new(false),
            collecting: AtomicBool::new(false),
            dirty: Mutex::default(),
            janitor: Janitor::default(),
            ready: AtomicBool::new(false),
            stop: watch::Sender::new(false),
            id: parts.id,
            env: parts.env,
            shard: parts.shard,
            segments: parts.segments,
            budget: parts.budget,
            source: parts.keys,
            settings,
        })
    }

    /// The door of every operation on objects: not failed, not sealed.
    pub(crate) fn enter(&self) -> Result<()> {
        self.queue.check()?;
        self.keys.check()
    }

    /// The door of changing operations: also not read-only, with room, and with a place in the bounded queue. What
    /// needs no space gets on while the reserve lasts.
    pub(crate) async fn begin(&self, cx: &Context<'_>, needs_space: bool) -> Result<Operation> {
        cx.may_change()?;
        self.enter()?;
        let space = self.shard.space();
        if space.reserve_used || (needs_space && space.reserve_reached) {
            return Err(FsError::NoSpace);
        }
        self.reserve_counters().await?;
        let admission = self.queue.admit().await;
        Ok(Operation::new(admission, cx.reply.map(|hold| hold.0.clone())))
    }

    pub(crate) fn check_space(&self) -> Result<()> {
        if self.shard.space().reserve_reached { Err(FsError::NoSpace) } else { Ok(()) }
    }

    pub(crate) async fn get_raw(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Bytes>> {
        match self.shard.get_now(keyspace, key)? {
            Now::Hit(found) => Ok(found),
            Now::WouldBlock => Ok(self.shard.get(keyspace, key).await?),
        }
    }

    pub(crate) fn open_record(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        self.keys.with(Which::Metadata, |secret, subkeys| self.binding.open(secret, subkeys, key, sealed))?
    }

    /// One record from the shard, opened.
    pub(crate) async fn get_record(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let sealed = self.get_raw(Keyspace::Records, key).await?;
        sealed.map(|sealed| self.open_record(key, &sealed)).transpose()
    }

    /// Puts an operation that is applied into the queue. Called under the locks of all the states it changed; each is
    /// told its place.
    pub(crate) fn enqueue(&self, operation: Operation, cx: &Context<'_>) -> u64 {
        let position = self.queue.push(operation);
        cx.watermark.raise(position);
        position
    }

    /// Forgets inodes, clean slots and clean windows when the process has too many, those first that nobody has asked
    /// for since the last time.
    pub(crate) fn trim_caches(&self) {
        self.plain.trim();
        if self.budget.inodes_full() {
            self.cache.sweep(self);
        }
        if self.budget.entries() <= self.budget.entries_max {
            return;
        }
        let enough = self.budget.entries_max / 4 * 3;
        let inodes = self.cache.all();
        for rested_only in [true, false] {
            for inode in &inodes {
                if self.budget.entries() <= enough {
                    return;
                }
                if rested_only && inode.touched.swap(false, Ordering::Relaxed) {
                    continue;
                }
                // Whoever is loading relies on what it has just brought in.
                if let Ok(_turn) = inode.loading.try_lock() {
                    let mut state = inode.lock();
                    state.directory.trim(self);
                    state.file.trim(self);
                    state.recount();
                }
            }
        }
    }

    pub(crate) fn change_verifier(&self) {
        let old = self.verifier.load(Ordering::Relaxed);
        let mut new = u64::from_be_bytes(self.env.random());
        if new == old {
            new = new.wrapping_add(1);
        }
        self.verifier.store(new, Ordering::Release);
    }
}

impl State {
    /// The operation that changed this has its place in the queue now.
    pub(crate) fn entered(&mut self, position: u64) {
        self.unsynced = position;
        self.directory.entered(position);
        self.file.entered(position);
        self.recount();
    }
}
