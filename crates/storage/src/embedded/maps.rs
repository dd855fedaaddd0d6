//! The database of an open shard and its keyspaces: reading, and what errors of fjall mean.

use std::{ops::Bound, path::Path};

use bytes::Bytes;
use fjall::{AbstractTree as _, PersistMode, Readable as _};

use super::{EngineInner, journal, keyspace_options};
use crate::{Keyspace, Now, Page, Scan, StorageError};

const MEMTABLE_BYTES: u64 = 16 << 20;
/// Inline values are deleted soon after they came. The later their memtable goes, the fewer of them it writes to a table.
const INLINE_MEMTABLE_BYTES: u64 = 24 << 20;
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

impl Maps {
    /// The database in `dir` with its keyspaces, made if they are not there.
    pub(crate) fn open(engine: &EngineInner, dir: &Path) -> fjall::Result<Self> {
        let database = fjall::Database::open(engine.configuration(dir))?;
        Ok(Self {
            records: database.keyspace("records", || keyspace_options(MEMTABLE_BYTES))?,
            inline: database.keyspace("inline", || keyspace_options(INLINE_MEMTABLE_BYTES))?,
            history: database.keyspace("history", || keyspace_options(HISTORY_MEMTABLE_BYTES))?,
            database,
        })
    }

    pub(crate) fn of(&self, keyspace: Keyspace) -> &fjall::Keyspace {
        match keyspace {
            Keyspace::Records => &self.records,
            Keyspace::Inline => &self.inline,
        }
    }

    pub(crate) fn all(&self) -> [&fjall::Keyspace; 3] {
        [&self.records, &self.inline, &self.history]
    }

    /// A record as of `seqno`, if it is in the engine's memory.
    pub(crate) fn get_now(
        &self,
        keyspace: Keyspace,
        key: &[u8],
        seqno: u64,
    ) -> Result<Now<Option<Bytes>>, StorageError> {
        let tree = &self.of(keyspace).tree;
        if let Some(found) = tree.active_memtable().get(key, seqno) {
            return Ok(Now::Hit((!found.is_tombstone()).then(|| found.value.into())));
        }
        if tree.table_count() == 0 {
            return Ok(Now::Hit(tree.get(key, seqno).map_err(|error| self.error(error.into()))?.map(to_bytes)));
        }
        Ok(Now::WouldBlock)
    }

    /// A record as of `seqno`, waiting for the disk if need be.
    pub(crate) fn get(&self, keyspace: Keyspace, key: &[u8], seqno: u64) -> Result<Option<Bytes>, StorageError> {
        let found = self.of(keyspace).tree.get(key, seqno).map_err(|error| self.error(error.into()))?;
        Ok(found.map(to_bytes))
    }

    /// A page of records.
    pub(crate) fn page(&self, snapshot: &fjall::Snapshot, scan: &Scan) -> Result<Page, StorageError> {
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

    /// Why the engine takes no more changes, if so: its own thread has met an error. Asking it to persist is how it tells.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.database.persist(PersistMode::Buffer).err().map(|error| format!("the engine gave up: {error}"))
    }

    /// Whether reads of the keyspace may need the disk.
    pub(crate) fn has_tables(&self, keyspace: Keyspace) -> bool {
        self.of(keyspace).tree.table_count() > 0
    }

    pub(crate) fn error(&self, error: fjall::Error) -> StorageError {
        engine_error(self.directory(), &error)
    }

    pub(crate) fn directory(&self) -> &Path {
        // Below it are `keyspaces` and a number.
        self.records.path().ancestors().nth(2).unwrap_or(Path::new("engine"))
    }
}

fn to_bytes(value: fjall::Slice) -> Bytes {
    if value.len() <= COPY_BYTES { Bytes::copy_from_slice(&value) } else { value.into() }
}

/// Says what fjall said, with the file as far as it tells.
pub(crate) fn engine_error(dir: &Path, error: &fjall::Error) -> StorageError {
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
