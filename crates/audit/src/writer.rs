//! The thread that writes: it takes all that waits, writes it at once, syncs once if somebody waits for that.
//!
//! While lines keep coming, those that nobody waits for stay a moment and go with the next that somebody waits for: so a
//! call wakes this thread once, for its beginning, and not again for its end.

use std::fs::File;
use std::io::Write;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use env::{Env, Instant};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, oneshot};

use crate::AuditError;
use crate::chain::{self, Head};
use crate::files::{self, Rotated};

/// Lines that nobody waits for are synced after this time.
const IDLE_SYNC: Duration = Duration::from_secs(1);
/// So long a line that nobody waits for may stay unwritten.
const LINGER: Duration = Duration::from_millis(10);
/// With so many lines none stays any longer.
const LINGER_LINES: usize = 256;

/// A line to write, and who waits for it to be durable.
pub(crate) struct Message {
    /// The line's object as text; none for a mere wait.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) durable: Option<oneshot::Sender<Result<(), AuditError>>>,
}

/// Between the callers and the thread. Each line has a permit, so the queue is bounded.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    pub(crate) room: Semaphore,
    /// How often lines were made durable.
    pub(crate) syncs: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    messages: Vec<Message>,
    /// Somebody waits, or there are many lines: they are written now.
    urgent: bool,
    /// The thread waits for any line, not only for an urgent one.
    resting: bool,
    closed: bool,
    failed: bool,
}

impl Queue {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            room: Semaphore::new(room),
            syncs: AtomicU64::new(0),
        })
    }

    pub(crate) fn failed(&self) -> bool {
        self.waiting.lock().failed
    }

    pub(crate) fn push(&self, message: Message) -> Result<(), AuditError> {
        let mut waiting = self.waiting.lock();
        if waiting.failed || waiting.closed {
            return Err(AuditError::Failed);
        }
        let urgent = message.durable.is_some() || waiting.messages.len() >= LINGER_LINES;
        waiting.messages.push(message);
        waiting.urgent |= urgent;
        if urgent || waiting.resting {
            self.changed.notify_one();
        }
        Ok(())
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_one();
    }

    /// All that waits; `None` after the last when closed. `busy`: lines came just now, so those that nobody waits for may
    /// linger. With it, whether nothing came within `patience`.
    fn take(&self, patience: Duration, busy: bool) -> Option<(Vec<Message>, bool)> {
        let mut waiting = self.waiting.lock();
        let linger = busy && patience > LINGER;
        let mut nothing_came = false;
        if !waiting.urgent && !waiting.closed && (linger || waiting.messages.is_empty()) {
            waiting.resting = !linger;
            let waited = self.changed.wait_for(&mut waiting, if linger { LINGER } else { patience });
            waiting.resting = false;
            nothing_came = waited.timed_out() && !linger;
        }
        waiting.urgent = false;
        let messages = mem::take(&mut waiting.messages);
        if messages.is_empty() && waiting.closed { None } else { Some((messages, nothing_came)) }
    }
}

/// The file that is written.
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// The last line of it.
    pub(crate) head: Head,
    /// Its length, and the length at which the next file begins.
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
}

impl Target {
    fn write(&mut self, bytes: &[u8], sync: bool) -> Result<(), AuditError> {
        let done = self.file.write_all(bytes).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        self.bytes += bytes.len() as u64;
        done.map_err(|error| chain::io(&self.path, &error))
    }

    /// Begins the next file if this one has its size. What is in this one is durable then.
    fn rotate(&mut self) -> Result<bool, AuditError> {
        if self.bytes < self.bytes_max {
            return Ok(false);
        }
        self.file.sync_all().map_err(|error| chain::io(&self.path, &error))?;
        match files::rotate(&self.path, &mut self.head)? {
            Rotated::Done(file, bytes) => (self.file, self.bytes) = (file, bytes),
            Rotated::NotNow(cause) => {
                tracing::warn!(%cause, path = %self.path.display(), "the audit log stays in one file for now");
                self.bytes_max = self.bytes.saturating_add(files::FILE_BYTES / 16);
            }
        }
        Ok(true)
    }
}

/// Writes until the queue closes or the file fails.
pub(crate) fn run(mut target: Target, env: &Env, queue: &Queue) {
    let mut unsynced: Option<Instant> = None;
    let mut busy = false;
    loop {
        let age = |since: Instant| env.now().since(since);
        let patience = unsynced.map_or(IDLE_SYNC, |since| IDLE_SYNC.saturating_sub(age(since)));
        let Some((messages, nothing_came)) = queue.take(patience, busy) else { break };
        busy = !messages.is_empty();
        if messages.is_empty() && !nothing_came {
            continue;
        }
        // A line has its hashes beside its object.
        let length = messages.iter().filter_map(|message| message.body.as_ref()).map(|body| body.len() + 256).sum();
        let mut bytes = Vec::with_capacity(length);
        let bodies = messages.iter().filter_map(|message| message.body.as_deref());
        bodies.for_each(|body| target.head.append(body, &mut bytes));
        // What nobody waits for is durable soon all the same, also when lines never cease to come.
        let late = unsynced.is_some_and(|since| nothing_came || age(since) >= IDLE_SYNC);
        let wanted = late || messages.iter().any(|message| message.durable.is_some());
        let outcome = target.write(&bytes, wanted);
        queue.syncs.fetch_add(u64::from(wanted), Ordering::Relaxed);
        unsynced = if wanted { None } else { unsynced.or((!bytes.is_empty()).then(|| env.now())) };
        let lines = messages.iter().filter(|message| message.body.is_some()).count();
        queue.room.add_permits(lines);
        // Whoever waits is answered before the next file is made.
        let failed = finish(messages, outcome, queue);
        if failed {
            return;
        }
        match target.rotate() {
            Ok(rotated) => unsynced = unsynced.filter(|_| !rotated),
            Err(error) => {
                finish(Vec::new(), Err(error), queue);
                return;
            }
        }
    }
    if unsynced.is_some()
        && let Err(error) = target.file.sync_data()
    {
        tracing::error!(%error, "the audit log could not be synced at its end");
    }
}

/// Answers those who wait. True if the file has failed.
fn finish(messages: Vec<Message>, outcome: Result<(), AuditError>, queue: &Queue) -> bool {
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
    outcome.is_err()
}

fn fail(queue: &Queue) {
    let mut waiting = queue.waiting.lock();
    waiting.failed = true;
    for waiter in mem::take(&mut waiting.messages).into_iter().filter_map(|message| message.durable) {
        _ = waiter.send(Err(AuditError::Failed));
    }
    queue.room.close();
}
