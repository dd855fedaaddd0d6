//! A store that fails on demand: wraps any [`Opening`] and cuts, delays, reorders, refuses (Architecture section 8). For tests
//! and simulations; it must be used within a tokio runtime.
//!
//! [`Faults`] is the hand that steers. A test queues what shall happen to the next commits, puts and reads, in the order
//! of calls; what is not queued passes. A *cut* is a crash as the store's owner sees it: from then on every change is
//! refused, waiting commits are unknown, and reads fail, while the store beneath holds what was durable and can be
//! opened again.

use std::{collections::VecDeque, future::ready, ops::Range, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use env::Env;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::{
    Batch, BoxFuture, CommitError, Keyspace, Limits, Now, Opening, Page, Place, Scan, Sealed, SegmentId, Segments, Seq,
    Shard, Snapshot, Space, StorageError,
};

/// What shall happen to a commit.
#[derive(Clone, Debug)]
pub enum CommitFault {
    /// Nothing.
    Pass,
    /// Done at once, answered late.
    Late(Duration),
    /// Not done, and so answered.
    Refuse(CommitError),
    /// The store is cut before the batch is durable: the answer is `Unknown`.
    CutBefore,
    /// The store is cut after the batch is durable: the answer is `Unknown` too.
    CutAfter,
}

/// What shall happen to a put.
#[derive(Clone, Debug)]
pub enum PutFault {
    /// Nothing.
    Pass,
    /// Done late, so that later puts overtake it.
    Late(Duration),
    /// Not done, and so answered.
    Refuse(StorageError),
    /// The store is cut; the bytes may have been written, but nobody learns where.
    Cut,
}

/// What shall happen to a read (of a record, a page, or bytes of a segment).
#[derive(Clone, Debug)]
pub enum ReadFault {
    /// Nothing.
    Pass,
    /// Answered late.
    Late(Duration),
    /// Fails.
    Fail(StorageError),
}

/// Steers a faulty store. Clones steer the same one.
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

struct Shared {
    env: Env,
    plan: Mutex<Plan>,
    over: watch::Sender<bool>,
}

#[derive(Default)]
struct Plan {
    commits: VecDeque<CommitFault>,
    puts: VecDeque<PutFault>,
    reads: VecDeque<ReadFault>,
    never_now: bool,
    prefetched: Vec<Place>,
    space: Option<Space>,
    holding: bool,
    held: Vec<Held>,
}

struct Held {
    inner: Arc<dyn Shard>,
    batch: Batch,
    answer: oneshot::Sender<Result<Seq, CommitError>>,
}

impl Faults {
    /// No faults yet. `env` gives the time for delays.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self(Arc::new(Shared { env, plan: Mutex::default(), over: watch::Sender::new(false) }))
    }

    /// The opening with these faults in its way. After a cut, wrap the next opening with fresh [`Faults`].
    #[must_use]
    pub fn wrap(&self, opening: Opening) -> Opening {
        let (shard, segments) = opening;
        let (mut fenced, faults) = (shard.fenced(), self.clone());
        tokio::spawn(async move {
            if fenced.wait_for(|fenced| *fenced).await.is_ok() {
                faults.0.over.send_replace(true);
            }
        });
        let faults = self.clone();
        (
            Arc::new(FaultyShard { inner: shard, faults: faults.clone() }),
            Arc::new(FaultySegments { inner: segments, faults }),
        )
    }

    /// Queues what happens to commits, in the order of calls.
    pub fn commits(&self, faults: impl IntoIterator<Item = CommitFault>) {
        self.0.plan.lock().commits.extend(faults);
    }

    /// Queues what happens to puts, in the order of calls.
    pub fn puts(&self, faults: impl IntoIterator<Item = PutFault>) {
        self.0.plan.lock().puts.extend(faults);
    }

    /// Queues what happens to reads that wait, in the order of calls.
    pub fn reads(&self, faults: impl IntoIterator<Item = ReadFault>) {
        self.0.plan.lock().reads.extend(faults);
    }

    /// Whether every read that must not wait says `WouldBlock`, so that the slow ways are taken.
    pub fn never_now(&self, never: bool) {
        self.0.plan.lock().never_now = never;
    }

    /// The places that were asked for ahead, in order.
    #[must_use]
    pub fn prefetched(&self) -> Vec<Place> {
        self.0.plan.lock().prefetched.clone()
    }

    /// What the store says of the room on its disk; `None` for what is true. What it takes is for
    /// [`Faults::commits`] and [`Faults::puts`] to say.
    pub fn space(&self, space: Option<Space>) {
        self.0.plan.lock().space = space;
    }

    /// Lets commits wait in the queue, undone, until [`Faults::release`] or a cut.
    pub fn hold_commits(&self) {
        self.0.plan.lock().holding = true;
    }

    /// How many commits are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.plan.lock().held.len()
    }

    /// Lets the held commits go on, in their order.
    pub fn release(&self) {
        let mut plan = self.0.plan.lock();
        plan.holding = false;
        for held in std::mem::take(&mut plan.held) {
            let commit = held.inner.commit(held.batch);
            tokio::spawn(async move {
                // Whoever gave up waiting needs no answer.
                let _ = held.answer.send(commit.await);
            });
        }
    }

    /// Cuts the store now.
    pub fn cut(&self) {
        self.0.over.send_replace(true);
        for held in std::mem::take(&mut self.0.plan.lock().held) {
            let _ = held.answer.send(Err(CommitError::Unknown(held.batch.token)));
        }
    }

    fn is_over(&self) -> bool {
        *self.0.over.borrow()
    }

    fn check(&self) -> Result<(), StorageError> {
        if self.is_over() { Err(StorageError::Stopped("it was cut".to_owned())) } else { Ok(()) }
    }

    fn next_read(&self) -> Result<Option<Duration>, StorageError> {
        self.check()?;
        match self.0.plan.lock().reads.pop_front() {
            Some(ReadFault::Fail(error)) => Err(error),
            Some(ReadFault::Late(late)) => Ok(Some(late)),
            Some(ReadFault::Pass) | None => Ok(None),
        }
    }

    async fn read<T>(&self, read: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
        if let Some(late) = self.next_read()? {
            self.0.env.sleep(late).await;
        }
        let result = read.await;
        self.check()?;
        result
    }

    fn now<T>(&self, read: impl FnOnce() -> Result<Now<T>, StorageError>) -> Result<Now<T>, StorageError> {
        self.check()?;
        if self.0.plan.lock().never_now { Ok(Now::WouldBlock) } else { read() }
    }
}

struct FaultyShard {
    inner: Arc<dyn Shard>,
    faults: Faults,
}

struct FaultySnapshot {
    inner: Arc<dyn Snapshot>,
    faults: Faults,
}

struct FaultySegments {
    inner: Arc<dyn Segments>,
    faults: Faults,
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
            let (answer, result) = oneshot::channel();
            let token = batch.token;
            plan.held.push(Held { inner: self.inner.clone(), batch, answer });
            return Box::pin(async move { result.await.unwrap_or(Err(CommitError::Unknown(token))) });
        }
        let fault = plan.commits.pop_front().unwrap_or(CommitFault::Pass);
        drop(plan);
        let (faults, token) = (self.faults.clone(), batch.token);
        match fault {
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

impl Segments for FaultySegments {
    fn put(&self, sealed: Vec<Sealed>) -> BoxFuture<'static, Result<Vec<Place>, StorageError>> {
        if let Err(error) = self.faults.check() {
            return Box::pin(ready(Err(error)));
        }
        let fault = self.faults.0.plan.lock().puts.pop_front().unwrap_or(PutFault::Pass);
        let (inner, faults) = (self.inner.clone(), self.faults.clone());
        match fault {
            PutFault::Pass => {
                let put = inner.put(sealed);
                Box::pin(async move {
                    let result = put.await;
                    faults.check()?;
                    result
                })
            }
            PutFault::Late(late) => {
                // In a task of its own, since a put goes its way even if nobody waits.
                let put = tokio::spawn(async move {
                    faults.0.env.sleep(late).await;
                    faults.check()?;
                    inner.put(sealed).await
                });
                Box::pin(async move { put.await.unwrap_or_else(|error| Err(StorageError::Stopped(error.to_string()))) })
            }
            PutFault::Refuse(error) => Box::pin(ready(Err(error))),
            PutFault::Cut => {
                let put = inner.put(sealed);
                Box::pin(async move {
                    // Written or not: nobody learns where.
                    let _ = put.await;
                    faults.cut();
                    Err(StorageError::Stopped("it was cut".to_owned()))
                })
            }
        }
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
        Box::pin(self.faults.read(self.inner.copy(places)))
    }

    fn delete(&self, segment: SegmentId) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(self.faults.read(self.inner.delete(segment)))
    }

    fn list(&self, below: u32) -> BoxFuture<'_, Result<Vec<(SegmentId, u64)>, StorageError>> {
        Box::pin(self.faults.read(self.inner.list(below)))
    }

    fn epoch(&self) -> u32 {
        self.inner.epoch()
    }
}

#[cfg(test)]
mod tests;
