//! The embedded shard as others hold it.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::{
    EngineInner,
    core::Core,
    history::{EPOCH_KEY, Record},
    maps::Maps,
    snapshot::{EmbeddedSnapshot, NoSnapshot},
};
use crate::{
    Batch, BoxFuture, CommitError, Keyspace, Limits, Now, Page, Scan, Seq, Shard, Snapshot, Space, StorageError,
};

/// The handle. Dropping it without closing ends the opening as a crash would.
pub(crate) struct EmbeddedShard {
    pub(crate) core: Arc<Core>,
    pub(crate) engine: Arc<EngineInner>,
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
                self.on_pool(move |maps| maps.get(keyspace, &key, u64::MAX))
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
            keys.iter().map(|key| maps.get(keyspace, key, snapshot.seqno())).collect()
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
