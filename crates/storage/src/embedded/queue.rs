//! The queue of batches before a shard's commit thread.

use std::{
    collections::VecDeque,
    mem,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::health::Stopwatch;
use crate::{Batch, CommitError, Seq, StorageError};

/// So much goes into one sync at most: a batch of the largest size still fits beside others.
const SYNC_BYTES: usize = 16 << 20;
const SYNC_KEYS: usize = 16_000;

pub(crate) type Answer = oneshot::Sender<Result<Seq, CommitError>>;
pub(crate) type Closed = oneshot::Sender<Result<(), StorageError>>;

/// A batch on its way.
pub(crate) struct Waiting {
    pub(crate) batch: Batch,
    pub(crate) bytes: usize,
    pub(crate) answer: Answer,
}

/// Where batches wait, and who waits for them.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) state: Mutex<State>,
    pub(crate) wake: Condvar,
    /// Runs while the thread writes and syncs, the floor and the memtables included.
    pub(crate) busy: Stopwatch,
    /// The next pause is for flushing memtables.
    pub(crate) flush: AtomicBool,
}

/// What the lock of a queue guards.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) waiting: VecDeque<Waiting>,
    /// The batches of the sync in progress.
    pub(crate) in_flight: Vec<(u128, Answer)>,
    pub(crate) ending: Ending,
}

/// How far an opening is from its end.
#[derive(Default)]
pub(crate) enum Ending {
    #[default]
    Open,
    /// Finish what waits, then go, leaving the rest to the next start.
    Abandoned,
    /// Finish what waits, flush, and say so.
    Closing(Vec<Closed>),
    /// The thread is gone.
    Over,
}

impl Queue {
    /// Puts a batch at the end; the answer comes through the receiver.
    pub(crate) fn push(&self, batch: Batch) -> oneshot::Receiver<Result<Seq, CommitError>> {
        let (answer, receiver) = oneshot::channel();
        let bytes = batch.bytes();
        let mut state = self.state.lock();
        if matches!(state.ending, Ending::Open) {
            state.waiting.push_back(Waiting { batch, bytes, answer });
            drop(state);
            self.wake.notify_one();
        } else {
            // A receiver dropped meanwhile needs no answer.
            let _ = answer.send(Err(CommitError::Fenced));
        }
        receiver
    }

    /// Lets the thread finish what waits and go.
    pub(crate) fn abandon(&self) {
        let mut state = self.state.lock();
        if matches!(state.ending, Ending::Open) {
            state.ending = Ending::Abandoned;
        }
        self.wake.notify_one();
    }

    /// Lets the thread finish what waits, flush and go; `closed` hears of it.
    pub(crate) fn close(&self, closed: Closed) {
        let mut state = self.state.lock();
        match &mut state.ending {
            Ending::Closing(waiting) => waiting.push(closed),
            Ending::Over => {
                // Closing twice is fine.
                let _ = closed.send(Ok(()));
            }
            Ending::Open | Ending::Abandoned => state.ending = Ending::Closing(vec![closed]),
        }
        self.wake.notify_one();
    }

    /// Asks for a flush of the memtables at the next pause.
    pub(crate) fn request_flush(&self) {
        self.flush.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// The thread is done: tells whoever waits for the close, now and later.
    pub(crate) fn end(&self, result: &Result<(), StorageError>) {
        let ending = mem::replace(&mut self.state.lock().ending, Ending::Over);
        if let Ending::Closing(waiting) = ending {
            for closed in waiting {
                // A receiver dropped meanwhile needs no answer.
                let _ = closed.send(result.clone());
            }
        }
    }

    /// Answers everybody after a failure: what was in flight is unknown, what waited is not done.
    pub(crate) fn fail_all(&self) {
        let mut state = self.state.lock();
        let (in_flight, waiting) = (mem::take(&mut state.in_flight), mem::take(&mut state.waiting));
        if matches!(state.ending, Ending::Open) {
            state.ending = Ending::Abandoned;
        }
        drop(state);
        for (token, answer) in in_flight {
            let _ = answer.send(Err(CommitError::Unknown(token)));
        }
        for waiting in waiting {
            let _ = waiting.answer.send(Err(CommitError::Fenced));
        }
        self.wake.notify_one();
    }
}

/// As many of the first batches as one sync takes; at least one.
pub(crate) fn take_group(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let (mut bytes, mut keys, mut count) = (0, 0, 0);
    for one in waiting.iter() {
        bytes += one.bytes;
        keys += one.batch.keys();
        if count > 0 && (bytes > SYNC_BYTES || keys > SYNC_KEYS) {
            break;
        }
        count += 1;
    }
    waiting.drain(..count).collect()
}

#[cfg(test)]
mod tests;
