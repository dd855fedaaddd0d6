//! What is being made or removed: its locks, and what stands in its way.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// One lock for each resource that is being made or removed, so that two drivers never work on one.
#[derive(Default)]
pub(crate) struct Work {
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Why mount targets are in `error`, by id. In memory only: each start finds out anew.
    pub(crate) troubles: Mutex<HashMap<String, String>>,
    /// File systems are created one at a time.
    pub(crate) creating: tokio::sync::Mutex<()>,
}

impl Work {
    pub(crate) fn lock_of(&self, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.locks.lock().entry(id.to_owned()).or_default().clone()
    }

    pub(crate) fn forget(&self, id: &str) {
        self.locks.lock().remove(id);
    }
}
