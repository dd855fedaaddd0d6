//! What the handle of a shard, its commit thread and the monitor share.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use env::Env;
use parking_lot::RwLock;

use super::{directory::DirectoryLock, health::Health, journal, maps::Maps, queue::Queue, space::SpaceWatch};
use crate::StorageError;

/// What an opening holds until it ends.
pub(crate) struct Opened {
    pub(crate) maps: Maps,
    pub(crate) lock: DirectoryLock,
    pub(crate) engine_dir: PathBuf,
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

impl Opened {
    /// Lets the database go. After a clean end the journals hold nothing that tables do not.
    pub(crate) fn end(self, clean: bool) {
        let Self { maps, lock, engine_dir } = self;
        drop(maps);
        if clean && let Err(error) = journal::leave_empty(&engine_dir) {
            tracing::warn!(%error, "the journal could not be left empty; it will be read again");
        }
        drop(lock);
    }
}

impl Core {
    pub(crate) fn memtable_bytes(&self) -> u64 {
        self.opened.read().as_ref().map_or(0, |opened| opened.maps.database.write_buffer_size())
    }

    pub(crate) fn maps(&self) -> Result<Maps, StorageError> {
        self.opened.read().as_ref().map(|opened| opened.maps.clone()).ok_or_else(|| self.health.stopped())
    }
}
