//! The queue of operations that are applied in memory and not yet durable (Architecture section 3): what clients' calls put in,
//! the committer takes out.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch},
};

use crate::{FsError, Result, core::Core, operation::Operation};

/// From so many bytes in the queue on no further operation is admitted. Those admitted before may go over it.
const QUEUE_BYTES_MAX: usize = 32 << 20;

/// Operations that are applied in memory and not yet durable, in their order.
pub(crate) struct Queue {
    pub(super) waiting: Mutex<Waiting>,
    /// Operations on records of the protocol server. They depend on nothing in the queue, and whoever waits for one
    /// may be just who holds the queue's first operation.
    pub(super) aside: Mutex<Vec<(Operation, oneshot::Sender<()>)>>,
    pub(super) wake: Notify,
    /// Whether the committer's task is there.
    pub(super) running: AtomicBool,
    /// Whose queue this is; empty until operations may be committed.
    pub(super) core: OnceLock<Weak<Core>>,
    admissions: Arc<Semaphore>,
    admissions_max: u32,
    /// Bytes of all operations that are not durable yet.
    pub(super) bytes: AtomicUsize,
    pub(super) durable: AtomicU64,
    pub(super) settled: Notify,
    /// The queue goes on after [`Self::changed_since`] found it at rest.
    stirred: Notify,
    pub(super) stopped: AtomicBool,
    failed: watch::Sender<bool>,
}

#[derive(Default)]
pub(super) struct Waiting {
    pub(super) operations: VecDeque<Operation>,
    /// The place of the last operation that entered; the first is 1.
    pub(super) last: u64,
    /// Somebody waits for the next operation.
    resting: bool,
}

impl Queue {
    pub(crate) fn new(operations_max: usize) -> Self {
        let admissions_max = u32::try_from(operations_max).unwrap_or(u32::MAX).max(1);
        Self {
            waiting: Mutex::default(),
            aside: Mutex::default(),
            wake: Notify::new(),
            running: AtomicBool::new(false),
            core: OnceLock::new(),
            admissions: Arc::new(Semaphore::new(usize::try_from(admissions_max).unwrap_or(Semaphore::MAX_PERMITS))),
            admissions_max,
            bytes: AtomicUsize::new(0),
            durable: AtomicU64::new(0),
            settled: Notify::new(),
            stirred: Notify::new(),
            stopped: AtomicBool::new(false),
            failed: watch::Sender::new(false),
        }
    }

    /// Waits for room in the queue. Whoever holds what this gives must not wait for an inode's `flushing`: that comes
    /// first. All other locks come after it, so that whoever holds one never waits for the committer.
    pub(crate) async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let settled = self.settled.notified();
            if self.bytes.load(Ordering::Relaxed) < QUEUE_BYTES_MAX || self.check().is_err() {
                break;
            }
            settled.await;
        }
        match self.admissions.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => self.admissions.clone().acquire_owned().await.ok(),
        }
    }

    /// How many operations were admitted and are not durable yet.
    pub(crate) fn admitted(&self) -> usize {
        usize::try_from(self.admissions_max).unwrap_or(usize::MAX).saturating_sub(self.admissions.available_permits())
    }

    /// Waits until every operation that was admitted is durable or was given up.
    pub(crate) async fn drained(&self) {
        // Closed when the shard has failed: then there is nothing to wait for.
        let _ = self.admissions.acquire_many(self.admissions_max).await;
    }

    /// Takes the operation's place in the order. Called under the locks of what the operation changed.
    pub(crate) fn push(&self, operation: Operation) -> u64 {
        let held = operation.reply.as_ref().inspect(|hold| hold.queued()).is_some_and(|hold| hold.pending());
        let (position, rested) = {
            let mut waiting = self.waiting.lock();
            // After a failure nobody takes it any more, and what it holds must be given back.
            if self.check().is_ok() {
                self.bytes.fetch_add(operation.bytes(), Ordering::Relaxed);
                waiting.operations.push_back(operation);
            }
            waiting.last += 1;
            (waiting.last, std::mem::take(&mut waiting.resting))
        };
        if rested {
            self.stirred.notify_one();
        }
        // A held operation wakes the committer when its reply is there.
        if !held {
            self.wake();
        }
        position
    }

    /// Makes an operation durable that has no part in the order. [`Core::commit_aside`] is the door to it.
    pub(super) async fn commit_aside(&self, operation: Operation) -> Result<()> {
        let (done, settled) = oneshot::channel();
        self.bytes.fetch_add(operation.bytes(), Ordering::Relaxed);
        self.aside.lock().push((operation, done));
        self.wake();
        self.check()?;
        settled.await.map_err(|_| FsError::Failed)
    }

    /// There is something for the committer, or an end to what it waits for.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
        let Some(core) = self.core.get().and_then(Weak::upgrade) else { return };
        // Without a runtime the process is on its way out.
        if !self.running.swap(true, Ordering::AcqRel)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(core.run_committer());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().operations.is_empty() && self.aside.lock().is_empty()
    }

    pub(crate) fn is_durable(&self, position: u64) -> bool {
        position <= self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn last(&self) -> u64 {
        self.waiting.lock().last
    }

    /// Waits until an operation has entered after `position`, or the queue has ended. For one waiter at a time.
    pub(crate) async fn changed_since(&self, position: u64) {
        while self.check().is_ok() {
            {
                let mut waiting = self.waiting.lock();
                if waiting.last != position {
                    return;
                }
                waiting.resting = true;
            }
            self.stirred.notified().await;
        }
    }

    /// Waits until everything up to `position` is durable.
    pub(crate) async fn durable(&self, position: u64) -> Result<()> {
        loop {
            if self.is_durable(position) {
                return Ok(());
            }
            let settled = self.settled.notified();
            self.check()?;
            if self.is_durable(position) {
                return Ok(());
            }
            settled.await;
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.stopped.load(Ordering::Acquire) { Err(FsError::Failed) } else { Ok(()) }
    }

    /// The shard takes no more: whoever waits learns of it, and whoever owns the file system opens it again.
    pub(crate) fn fail(&self) {
        self.failed.send_replace(true);
        self.end();
    }

    /// Nothing is committed any more, after a failure or in good order.
    pub(crate) fn end(&self) {
        self.stopped.store(true, Ordering::Release);
        self.aside.lock().clear();
        let dropped = std::mem::take(&mut self.waiting.lock().operations);
        drop(dropped);
        // Whoever waits for room goes on, and learns of the end.
        self.admissions.close();
        self.settled.notify_waiters();
        self.stirred.notify_one();
        self.wake();
    }

    pub(crate) fn failed(&self) -> watch::Receiver<bool> {
        self.failed.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    fn push(queue: &Queue) -> u64 {
        queue.push(Operation::new(None, None))
    }

    /// Architecture section 3, "Cleaner": who waits for a change costs nothing until there is one, and misses none.
    #[tokio::test]
    async fn a_change_ends_the_wait_whenever_it_comes() {
        let queue = Queue::new(4);
        assert!(timeout(SHORT, queue.changed_since(0)).await.is_err(), "nothing has changed");
        // The wait that was given up leaves nothing behind that would end another one early.
        let first = push(&queue);
        timeout(SHORT, queue.changed_since(0)).await.unwrap();
        assert!(timeout(SHORT, queue.changed_since(first)).await.is_err(), "nothing since the first");
        let (waited, second) = tokio::join!(timeout(SHORT * 50, queue.changed_since(first)), async { push(&queue) });
        waited.unwrap();
        let (waited, ()) = tokio::join!(timeout(SHORT * 50, queue.changed_since(second)), async { queue.end() });
        waited.unwrap();
        timeout(SHORT, queue.changed_since(second)).await.unwrap();
    }
}
