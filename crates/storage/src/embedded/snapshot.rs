//! A state of the shard that stands still.

use std::sync::Arc;

use bytes::Bytes;

use super::{EngineInner, maps::Maps};
use crate::{BoxFuture, Keyspace, Now, Page, Scan, Snapshot, StorageError};

/// A snapshot of fjall and what it reads from.
pub(crate) struct EmbeddedSnapshot {
    pub(crate) snapshot: fjall::Snapshot,
    pub(crate) maps: Maps,
    pub(crate) engine: Arc<EngineInner>,
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
                self.on_pool(move |snapshot, maps| maps.get(keyspace, &key, snapshot.seqno()))
            }
        }
    }

    fn multi_get<'a>(
        &'a self,
        keyspace: Keyspace,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StorageError>> {
        let keys = keys.to_vec();
        self.on_pool(move |snapshot, maps| keys.iter().map(|key| maps.get(keyspace, key, snapshot.seqno())).collect())
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
pub(crate) struct NoSnapshot(pub(crate) StorageError);

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
