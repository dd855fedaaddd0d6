//! The thread that writes: it takes all that waits, writes it at once, syncs once if somebody waits for that.

use std::fs::File;
use std::io::Write;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, oneshot};

use crate::AuditError;
use crate::chain::{self, Head};

/// Lines that nobody waits for are synced after this time.
const IDLE_SYNC: Duration = Duration::from_secs(1);

/// A line to write, and who waits for it to be durable.
pub(crate) struct Message {
    /// The line; none for a mere wait.
    pub(crate) body: Option<Map<String, Value>>,
    pub(crate) durable: Option<oneshot::Sender<Result<(), AuditError>>>,
}

/// Between the callers and the thread. Each line has a permit, so the queue is bounded.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    pub(crate) room: Semaphore,
}

#[derive(Default)]
struct Waiting {
    messages: Vec<Message>,
    closed: bool,
    failed: bool,
}

impl Queue {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), changed: Condvar::new(), room: Semaphore::new(room) })
    }

    pub(crate) fn failed(&self) -> bool {
        self.waiting.lock().failed
    }

    pub(crate) fn push(&self, message: Message) -> Result<(), AuditError> {
        let mut waiting = self.waiting.lock();
        if waiting.failed || waiting.closed {
            return Err(AuditError::Failed);
        }
        waiting.messages.push(message);
        self.changed.notify_one();
        Ok(())
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_one();
    }

    /// All that waits; `None` after the last when closed. An empty answer means that nothing came for a while.
    fn take(&self) -> Option<Vec<Message>> {
        let mut waiting = self.waiting.lock();
        if waiting.messages.is_empty() && !waiting.closed {
            self.changed.wait_for(&mut waiting, IDLE_SYNC);
        }
        let messages = mem::take(&mut waiting.messages);
        if messages.is_empty() && waiting.closed { None } else { Some(messages) }
    }
}

/// Writes until the queue closes or the file fails.
pub(crate) fn run(path: &Path, mut file: File, mut head: Head, queue: &Queue) {
    let mut unsynced = false;
    while let Some(messages) = queue.take() {
        let mut bytes = Vec::new();
        messages.iter().filter_map(|message| message.body.as_ref()).for_each(|body| head.append(body, &mut bytes));
        let wanted = messages.iter().any(|message| message.durable.is_some()) || (messages.is_empty() && unsynced);
        let outcome = file.write_all(&bytes).and_then(|()| if wanted { file.sync_data() } else { Ok(()) });
        unsynced = !wanted && (unsynced || !bytes.is_empty());
        let outcome = outcome.map_err(|error| chain::io(path, &error));
        let lines = messages.iter().filter(|message| message.body.is_some()).count();
        queue.room.add_permits(lines);
        if let Err(error) = &outcome {
            // What is on disk now is unknown: nothing more may follow it until it has been read again. The queue refuses
            // before anyone is told, so that whoever learns of the failure finds it.
            tracing::error!(%error, "the audit log failed; calls are refused until the server is restarted");
            fail(queue);
        }
        for waiter in messages.into_iter().filter_map(|message| message.durable) {
            // A caller that has gone away needs no answer.
            _ = waiter.send(outcome.clone());
        }
        if outcome.is_err() {
            return;
        }
    }
    if unsynced && let Err(error) = file.sync_data() {
        tracing::error!(%error, "the audit log could not be synced at its end");
    }
}

fn fail(queue: &Queue) {
    let mut waiting = queue.waiting.lock();
    waiting.failed = true;
    for waiter in mem::take(&mut waiting.messages).into_iter().filter_map(|message| message.durable) {
        _ = waiter.send(Err(AuditError::Failed));
    }
    queue.room.close();
}
