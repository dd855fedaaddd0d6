//! The shard in memory.

use std::{collections::BTreeMap, future::ready, ops::Bound, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Contents, Maps};
use crate::{
    Batch, BoxFuture, CommitError, Keyspace, Limits, Now, Page, Scan, Seq, Shard, Snapshot, Space, StorageError,
};

/// As many tokens as the embedded engine remembers.
const TOKENS: usize = 4096;

pub(super) struct MemoryShard {
    contents: Arc<Mutex<Contents>>,
    fenced: watch::Sender<bool>,
    epoch: u32,
}

impl MemoryShard {
    pub(super) fn new(contents: Arc<Mutex<Contents>>, fenced: watch::Sender<bool>, epoch: u32) -> Self {
        Self { contents, fenced, epoch }
    }

    fn apply(&self, batch: Batch) -> Result<Seq, CommitError> {
        let mut contents = self.contents.lock();
        if contents.epoch != self.epoch || *self.fenced.borrow() {
            return Err(CommitError::Fenced);
        }
        if !batch.fits(&Limits::default()) {
            return Err(CommitError::TooLarge);
        }
        for (keyspace, key) in &batch.deletes {
            contents.maps.change(*keyspace).remove(key);
        }
        for (keyspace, key, value) in batch.puts {
            contents.maps.change(keyspace).insert(key, value);
        }
        contents.tokens.push_back(batch.token);
        if contents.tokens.len() > TOKENS {
            contents.tokens.pop_front();
        }
        contents.seq.0 += 1;
        Ok(contents.seq)
    }
}

impl Maps {
    fn of(&self, keyspace: Keyspace) -> &BTreeMap<Bytes, Bytes> {
        match keyspace {
            Keyspace::Records => &self.records,
            Keyspace::Inline => &self.inline,
        }
    }

    fn change(&mut self, keyspace: Keyspace) -> &mut BTreeMap<Bytes, Bytes> {
        Arc::make_mut(match keyspace {
            Keyspace::Records => &mut self.records,
            Keyspace::Inline => &mut self.inline,
        })
    }

    fn page(&self, scan: &Scan) -> Page {
        if scan.is_empty() {
            return Page::default();
        }
        let bounds = (borrowed(&scan.from), borrowed(&scan.to));
        let range = self.of(scan.keyspace).range::<Bytes, _>(bounds);
        let copy = |(key, value): (&Bytes, &Bytes)| Ok::<_, std::convert::Infallible>((key.clone(), value.clone()));
        let page =
            if scan.reverse { Page::take(scan, range.rev().map(copy)) } else { Page::take(scan, range.map(copy)) };
        match page {
            Ok(page) => page,
        }
    }
}

fn borrowed(bound: &Bound<Bytes>) -> Bound<&Bytes> {
    bound.as_ref()
}

impl Snapshot for Maps {
    fn get_now(&self, keyspace: Keyspace, key: &[u8]) -> Result<Now<Option<Bytes>>, StorageError> {
        Ok(Now::Hit(self.of(keyspace).get(key).cloned()))
    }

    fn get<'a>(&'a self, keyspace: Keyspace, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        Box::pin(ready(Ok(self.of(keyspace).get(key).cloned())))
    }

    fn multi_get<'a>(
        &'a self,
        keyspace: Keyspace,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StorageError>> {
        Box::pin(ready(Ok(keys.iter().map(|key| self.of(keyspace).get(key).cloned()).collect())))
    }

    fn scan_now(&self, scan: &Scan) -> Result<Now<Page>, StorageError> {
        Ok(Now::Hit(self.page(scan)))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, StorageError>> {
        Box::pin(ready(Ok(self.page(&scan))))
    }
}

impl Snapshot for MemoryShard {
    fn get_now(&self, keyspace: Keyspace, key: &[u8]) -> Result<Now<Option<Bytes>>, StorageError> {
        self.contents.lock().maps.get_now(keyspace, key)
    }

    fn get<'a>(&'a self, keyspace: Keyspace, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        Box::pin(ready(Ok(self.contents.lock().maps.of(keyspace).get(key).cloned())))
    }

    fn multi_get<'a>(
        &'a self,
        keyspace: Keyspace,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StorageError>> {
        let contents = self.contents.lock();
        let map = contents.maps.of(keyspace);
        Box::pin(ready(Ok(keys.iter().map(|key| map.get(key).cloned()).collect())))
    }

    fn scan_now(&self, scan: &Scan) -> Result<Now<Page>, StorageError> {
        self.contents.lock().maps.scan_now(scan)
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, StorageError>> {
        Box::pin(ready(Ok(self.contents.lock().maps.page(&scan))))
    }
}

impl Shard for MemoryShard {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(self.contents.lock().maps.clone())
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Seq, CommitError>> {
        Box::pin(ready(self.apply(batch)))
    }

    fn durable(&self) -> Seq {
        self.contents.lock().seq
    }

    fn fenced(&self) -> watch::Receiver<bool> {
        self.fenced.subscribe()
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn committed(&self, token: u128) -> BoxFuture<'_, Result<bool, StorageError>> {
        Box::pin(ready(Ok(self.contents.lock().tokens.contains(&token))))
    }

    fn space(&self) -> Space {
        Space { free_bytes: u64::MAX, reserve_reached: false, reserve_used: false }
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.fenced.send_replace(true);
        Box::pin(ready(Ok(())))
    }
}
