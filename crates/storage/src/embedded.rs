//! The embedded engine: fjall behind our own commit thread, segments as append-only files (Architecture section 4;
//! docs/on-disk-format.md, "A shard's directory").
//!
//! - **Commit.** Batches wait in a queue; one thread per open shard drains it into one fjall batch and one fdatasync,
//!   and only then they become visible and are answered. Nothing of this runs on a tokio worker.
//! - **History.** Each batch leaves a record with its sequence, its token and a keyed hash over the record before, and
//!   a floor file says from time to time how far the log must reach. fjall's journal recovery stops without an error at
//!   an entry that it cannot decode; what is missing below the floor, or in the middle, is found here and refused.
//! - **Failure is final.** An error of the engine or of the disk, or a commit that takes longer than [`COMMIT_LIMIT`],
//!   ends the opening: every later change is refused, and what was in flight is unknown until the shard is reopened.
//! - **Reads.** `get_now` answers from the engine's memory: a record in the newest memtable, or any record while the
//!   keyspace has no table on disk yet. Everything else is `WouldBlock`, even if the block happens to be cached, since
//!   fjall cannot say. Waiting reads run on a small pool that all shards share.

mod commit;
mod core;
mod directory;
mod files;
mod floor;
mod health;
mod history;
mod journal;
mod maps;
mod monitor;
mod opening;
mod pool;
mod queue;
mod segments;
mod shard;
mod snapshot;
mod space;
mod tables;

use std::{path::Path, sync::Arc, time::Duration};

use env::Env;
use fjall::config::{BlockSizePolicy, CompressionPolicy};

pub use directory::DirectoryLock;
pub use tables::{StoredValue, stored_values};

use crate::{Opening, StorageError};

/// A commit that takes longer ends the opening of its shard.
pub const COMMIT_LIMIT: Duration = Duration::from_secs(30);

/// What the whole process may use for all its shards together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Blocks of tables kept in memory.
    pub cache_bytes: u64,
    /// Records not yet in tables, all shards together: the largest is flushed when there are more.
    pub memtable_bytes: u64,
    /// The journals of one shard, at least 64 MiB: what a start after a crash may have to read.
    pub journal_bytes: u64,
    /// Files kept open: half for segments of all shards, half for tables, which are shared out evenly.
    pub open_files: usize,
    /// Shards expected to be open at once; only to share out the table files.
    pub shards: usize,
    /// Threads that wait for the disk for reads.
    pub read_threads: usize,
    /// Space on the disk that only deletions may use.
    pub reserve_bytes: u64,
    /// A segment is closed when it would grow over this.
    pub segment_bytes: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            memtable_bytes: 64 << 20,
            journal_bytes: 128 << 20,
            open_files: 1024,
            shards: 32,
            read_threads: 4,
            reserve_bytes: 128 << 20,
            segment_bytes: 64 << 20,
        }
    }
}

/// Opens shards that share one set of [`Budgets`]. Clones are the same engine.
#[derive(Clone)]
pub struct Engine(Arc<EngineInner>);

pub(crate) struct EngineInner {
    budgets: Budgets,
    env: Env,
    cache_source: fjall::Config,
    pool: pool::Pool,
    files: files::OpenFiles,
    shards: monitor::Watched,
}

impl Engine {
    /// An engine with no shard open yet.
    ///
    /// # Errors
    /// [`StorageError::Io`] if its threads cannot be started.
    pub fn new(budgets: Budgets, env: Env) -> Result<Self, StorageError> {
        // The only way to a block cache of fjall is through a configuration; its path is never used.
        let cache_source = fjall::Database::builder("/").cache_size(budgets.cache_bytes).into_config();
        let inner = Arc::new(EngineInner {
            pool: pool::Pool::new(budgets.read_threads)?,
            files: files::OpenFiles::new(budgets.open_files / 2),
            shards: monitor::Watched::default(),
            cache_source,
            budgets,
            env,
        });
        monitor::start(&inner)?;
        Ok(Self(inner))
    }

    /// Makes a new, empty shard in `dir`, which must not exist or hold at most what an interrupted `create` left.
    ///
    /// # Errors
    /// [`StorageError::Exists`] if anything else is there; the system's.
    pub async fn create(&self, dir: &Path) -> Result<Opening, StorageError> {
        let (inner, dir) = (self.0.clone(), dir.to_owned());
        pool::on_own_thread("storage-create", move || {
            let made = directory::create(&dir, &inner.env)?;
            opening::open(&inner, made)
        })
        .await
    }

    /// Opens the shard in `dir` under its next epoch. Waits up to three seconds for an owner that is just closing.
    ///
    /// # Errors
    /// [`StorageError::Missing`], [`StorageError::Locked`], [`StorageError::Version`] or [`StorageError::Damaged`] with
    /// the file and the cure; the system's.
    pub async fn open(&self, dir: &Path) -> Result<Opening, StorageError> {
        let (inner, dir) = (self.0.clone(), dir.to_owned());
        pool::on_own_thread("storage-open", move || {
            let found = directory::open(&dir)?;
            opening::open(&inner, found)
        })
        .await
    }

    /// Whether `dir` holds a shard that was made completely.
    #[must_use]
    pub fn exists(dir: &Path) -> bool {
        directory::exists(dir)
    }
}

impl EngineInner {
    /// How each database is configured: shared cache, no threads beyond one, syncs only where we say.
    fn configuration(&self, path: &Path) -> fjall::Config {
        let table_files = (self.budgets.open_files / 2 / self.budgets.shards.max(1)).max(16);
        let mut config = fjall::Database::builder(path)
            .manual_journal_persist(true)
            // With two, fjall 3.1 keeps one of them busy waiting while the other compacts.
            .worker_threads(1)
            .max_cached_files(Some(table_files))
            .max_journaling_size(self.budgets.journal_bytes.max(64 << 20))
            .journal_compression(fjall::CompressionType::None)
            .into_config();
        config.cache = self.cache_source.cache.clone();
        config
    }
}

/// How each keyspace is made. Values are sealed, so compression would only cost time.
fn keyspace_options(memtable_bytes: u64) -> fjall::KeyspaceCreateOptions {
    fjall::KeyspaceCreateOptions::default()
        .manual_journal_persist(true)
        .max_memtable_size(memtable_bytes)
        .data_block_compression_policy(CompressionPolicy::disabled())
        .index_block_compression_policy(CompressionPolicy::disabled())
        .data_block_size_policy(BlockSizePolicy::all(4096))
}

#[cfg(test)]
mod tests;
