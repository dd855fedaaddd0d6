//! A store that fails on demand: wraps any [`Opening`] and cuts, delays, reorders, refuses (Architecture section 8). For tests
//! and simulations; it must be used within a tokio runtime.
//!
//! [`Faults`] is the hand that steers. A test queues what shall happen to the next commits, puts and reads, in the order
//! of calls; what is not queued passes. A *cut* is a crash as the store's owner sees it: from then on every change is
//! refused, waiting commits are unknown, and reads fail, while the store beneath holds what was durable and can be
//! opened again.
//!
//! What cannot be planned, because nobody knows how many calls there will be, is for a director: it sees each call and
//! says what becomes of it ([`Faults::direct`]).

mod plan;
mod wrapped;

use std::{sync::Arc, time::Duration};

use env::Env;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

pub use self::plan::{Call, CommitFault, PutFault, ReadFault, Verdict};
use self::{
    plan::Plan,
    wrapped::{FaultySegments, FaultyShard},
};
use crate::{Batch, CommitError, Now, Opening, Place, Seq, Shard, Space, StorageError};

/// Steers a faulty store. Clones steer the same one.
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

struct Shared {
    env: Env,
    plan: Mutex<Plan>,
    over: watch::Sender<bool>,
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

    /// Lets `director` say what happens to each call that waits and for which nothing is planned. It must not use these
    /// [`Faults`] itself.
    pub fn direct(&self, director: impl FnMut(&Call<'_>) -> Verdict + Send + 'static) {
        self.0.plan.lock().director = Some(Box::new(director));
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

    /// Lets this commit and those that come after it wait for `late`, undone.
    fn hold_for(&self, late: Duration) {
        self.hold_commits();
        let faults = self.clone();
        tokio::spawn(async move {
            faults.0.env.sleep(late).await;
            faults.release();
        });
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
        let fault = self.0.plan.lock().next_read();
        match fault {
            ReadFault::Fail(error) => Err(error),
            ReadFault::Late(late) => Ok(Some(late)),
            ReadFault::Pass => Ok(None),
            ReadFault::Cut => {
                self.cut();
                self.check().map(|()| None)
            }
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

#[cfg(test)]
mod tests;
