//! The shard and the segments with faults in their way.

use std::{future::ready, ops::Range, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::sync::{oneshot, watch};

use super::{
    Faults, Held,
    plan::{Call, CommitFault, PutFault},
};
use crate::{
    Batch, BoxFuture, CommitError, Keyspace, Limits, Now, Page, Place, Scan, Sealed, SegmentId, Segments, Seq, Shard,
    Snapshot, Space, StorageError,
};

pub(super) struct FaultyShard {
    pub(super) inner: Arc<dyn Shard>,
    pub(super) faults: Faults,
}

struct FaultySnapshot {
    inner: Arc<dyn Snapshot>,
    faults: Faults,
}

pub(super) struct FaultySegments {
    pub(super) inner: Arc<dyn Segments>,
    pub(super) faults: Faults,
}

/// Both kinds of reader pass reads on in the same way.
macro_rules! faulty_reads {
    ($reader:ty) => {
        impl Snapshot for $reader {
            fn get_now(&self, keyspace: Keyspace, key: &[u8]) -> Result<Now<Option<Bytes>>, StorageError> {
                self.faults.now(|| self.inner.get_now(keyspace, key))
            }

            fn get<'a>(
                &'a self,
                keyspace: Keyspace,
                key: &'a [u8],
            ) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
                Box::pin(self.faults.read(self.inner.get(keyspace, key)))
            }

            fn multi_get<'a>(
                &'a self,
                keyspace: Keyspace,
                keys: &'a [Bytes],
            ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StorageError>> {
                Box::pin(self.faults.read(self.inner.multi_get(keyspace, keys)))
            }

            fn scan_now(&self, scan: &Scan) -> Result<Now<Page>, StorageError> {
                self.faults.now(|| self.inner.scan_now(scan))
            }

            fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, StorageError>> {
                Box::pin(self.faults.read(self.inner.scan(scan)))
            }
        }
    };
}

faulty_reads!(FaultyShard);
faulty_reads!(FaultySnapshot);

impl Shard for FaultyShard {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(FaultySnapshot { inner: self.inner.snapshot(), faults: self.faults.clone() })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Seq, CommitError>> {
        if self.faults.is_over() {
            return Box::pin(ready(Err(CommitError::Fenced)));
        }
        let mut plan = self.faults.0.plan.lock();
        if plan.holding {
            drop(plan);
            return self.held(batch);
        }
        let fault = plan.next_commit(&batch);
        drop(plan);
        let (faults, token) = (self.faults.clone(), batch.token);
        match fault {
            CommitFault::DoneLate(late) => {
                let held = self.held(batch);
                faults.hold_for(late);
                held
            }
            CommitFault::Unknown { done: false } => Box::pin(ready(Err(CommitError::Unknown(token)))),
            CommitFault::Unknown { done: true } => {
                let commit = self.inner.commit(batch);
                Box::pin(async move { Err(commit.await.err().unwrap_or(CommitError::Unknown(token))) })
            }
            CommitFault::Refuse(error) => Box::pin(ready(Err(error))),
            CommitFault::CutBefore => {
                faults.cut();
                Box::pin(ready(Err(CommitError::Unknown(token))))
            }
            CommitFault::CutAfter => {
                let commit = self.inner.commit(batch);
                Box::pin(async move {
                    // Cut or not durable: the owner learns the same.
                    let _ = commit.await;
                    faults.cut();
                    Err(CommitError::Unknown(token))
                })
            }
            CommitFault::Pass => self.answered(batch, Duration::ZERO),
            CommitFault::Late(late) => self.answered(batch, late),
        }
    }

    fn durable(&self) -> Seq {
        self.inner.durable()
    }

    fn fenced(&self) -> watch::Receiver<bool> {
        self.faults.0.over.subscribe()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn committed(&self, token: u128) -> BoxFuture<'_, Result<bool, StorageError>> {
        Box::pin(self.faults.read(self.inner.committed(token)))
    }

    fn space(&self) -> Space {
        self.faults.0.plan.lock().space.unwrap_or_else(|| self.inner.space())
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            let result = self.inner.close().await;
            self.faults.0.over.send_replace(true);
            result
        })
    }
}

impl FaultyShard {
    /// Waits, undone, until it is released.
    fn held(&self, batch: Batch) -> BoxFuture<'static, Result<Seq, CommitError>> {
        let (answer, result) = oneshot::channel();
        let token = batch.token;
        self.faults.0.plan.lock().held.push(Held { inner: self.inner.clone(), batch, answer });
        Box::pin(async move { result.await.unwrap_or(Err(CommitError::Unknown(token))) })
    }

    /// Commits now and answers after `late`; a cut meanwhile makes the outcome unknown.
    fn answered(&self, batch: Batch, late: Duration) -> BoxFuture<'static, Result<Seq, CommitError>> {
        let (faults, token) = (self.faults.clone(), batch.token);
        let commit = self.inner.commit(batch);
        Box::pin(async move {
            let result = commit.await;
            if !late.is_zero() {
                faults.0.env.sleep(late).await;
            }
            if faults.is_over() && result.is_ok() { Err(CommitError::Unknown(token)) } else { result }
        })
    }
}

impl FaultySegments {
    /// Does what changes the segments, or what the plan says in its stead. `change` begins when it is called.
    fn change<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        change: impl FnOnce(&Arc<dyn Segments>) -> BoxFuture<'static, Result<T, StorageError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        if let Err(error) = self.faults.check() {
            return Box::pin(ready(Err(error)));
        }
        let fault = self.faults.0.plan.lock().next_put(call);
        let (inner, faults) = (self.inner.clone(), self.faults.clone());
        match fault {
            PutFault::Pass => {
                let changed = change(&inner);
                Box::pin(async move {
                    let result = changed.await;
                    faults.check()?;
                    result
                })
            }
            PutFault::Late(late) => {
                // In a task of its own, since a put goes its way even if nobody waits.
                let changed = tokio::spawn(async move {
                    faults.0.env.sleep(late).await;
                    faults.check()?;
                    change(&inner).await
                });
                Box::pin(
                    async move { changed.await.unwrap_or_else(|error| Err(StorageError::Stopped(error.to_string()))) },
                )
            }
            PutFault::Refuse(error) => Box::pin(ready(Err(error))),
            PutFault::CutBefore => {
                faults.cut();
                Box::pin(ready(Err(StorageError::Stopped("it was cut".to_owned()))))
            }
            PutFault::Cut => {
                let changed = change(&inner);
                Box::pin(async move {
                    // Done or not: nobody learns of it.
                    let _ = changed.await;
                    faults.cut();
                    Err(StorageError::Stopped("it was cut".to_owned()))
                })
            }
        }
    }
}

impl Segments for FaultySegments {
    fn put(&self, sealed: Vec<Sealed>) -> BoxFuture<'static, Result<Vec<Place>, StorageError>> {
        // Shared bytes: a second list of them costs little.
        let shown = sealed.clone();
        self.change(&Call::Put(&shown), move |inner| inner.put(sealed))
    }

    fn read_now(&self, place: &Place, range: Range<u32>, out: &mut [u8]) -> Result<Now<()>, StorageError> {
        self.faults.now(|| self.inner.read_now(place, range, out))
    }

    fn prefetch(&self, place: &Place) {
        self.faults.0.plan.lock().prefetched.push(*place);
        self.inner.prefetch(place);
    }

    fn read(&self, place: &Place, range: Range<u32>) -> BoxFuture<'static, Result<BytesMut, StorageError>> {
        let (faults, read) = (self.faults.clone(), self.inner.read(place, range));
        Box::pin(async move { faults.read(read).await })
    }

    fn copy(&self, places: Vec<Place>) -> BoxFuture<'_, Result<Vec<Place>, StorageError>> {
        let shown = places.clone();
        self.change(&Call::Copy(&shown), move |inner| {
            let inner = inner.clone();
            Box::pin(async move { inner.copy(places).await })
        })
    }

    fn delete(&self, segment: SegmentId) -> BoxFuture<'_, Result<(), StorageError>> {
        self.change(&Call::Delete(segment), move |inner| {
            let inner = inner.clone();
            Box::pin(async move { inner.delete(segment).await })
        })
    }

    fn list(&self, below: u32) -> BoxFuture<'_, Result<Vec<(SegmentId, u64)>, StorageError>> {
        Box::pin(self.faults.read(self.inner.list(below)))
    }

    fn epoch(&self) -> u32 {
        self.inner.epoch()
    }
}
