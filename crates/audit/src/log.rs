//! The log as its users see it: begin an entry, act, complete the entry.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use env::Env;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::event::Text;
use crate::writer::{Message, Queue, Target};
use crate::{AuditError, Event, Outcome, chain, files, writer};

/// So many lines may wait for the disk; then callers wait.
const QUEUE_LINES: usize = 4096;

/// An open log. Clones share it; the file is closed when the last one goes or at [`AuditLog::close`].
#[derive(Clone)]
pub struct AuditLog(Arc<Open>);

struct Open {
    queue: Arc<Queue>,
    env: Env,
    path: PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// An act that was written down and is not finished. Dropped without an outcome, it is completed as abandoned.
#[must_use = "an entry must be completed"]
pub struct Entry {
    queue: Arc<Queue>,
    event: Event,
    event_id: String,
    /// What the line of its beginning and that of its end have in common.
    text: Text,
    completed: bool,
}

impl AuditLog {
    /// Opens or makes a log. A line that a crash tore is put aside, and the log says so.
    pub fn open(path: &Path, env: Env) -> Result<Self, AuditError> {
        Self::open_sized(path, env, files::FILE_BYTES)
    }

    /// The same, with files of this size.
    fn open_sized(path: &Path, env: Env, bytes_max: u64) -> Result<Self, AuditError> {
        let before = files::last_closed(path)?;
        let mut file = files::open(path)?;
        let tail = chain::tail(path, &mut file, before)?;
        chain::set_aside(path, &mut file, &tail)?;
        let (mut head, mut bytes) = (tail.head, tail.length);
        if bytes == 0 && head.sequence > 0 {
            // A crash came between the end of one file and the beginning of this one.
            let mut line = Vec::new();
            files::first_line(&mut head, &mut line);
            file.write_all(&line).and_then(|()| file.sync_all()).map_err(|error| chain::io(path, &error))?;
            bytes = line.len() as u64;
        }
        let log = Self::start(Target { path: path.to_owned(), file, head, bytes, bytes_max }, env)?;
        if !tail.torn.is_empty() {
            let mut body = Map::new();
            body.insert("phase".to_owned(), "recovery".into());
            body.insert("tornBytes".to_owned(), tail.torn.len().into());
            log.0.queue.push(Message { body: Some(Value::Object(body).to_string().into_bytes()), durable: None })?;
        }
        Ok(log)
    }

    fn start(target: Target, env: Env) -> Result<Self, AuditError> {
        let queue = Queue::new(QUEUE_LINES);
        let (path, shared, clock) = (target.path.clone(), queue.clone(), env.clone());
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer::run(target, &clock, &shared))
            .map_err(|error| chain::io(&path, &error))?;
        Ok(Self(Arc::new(Open { queue, env, path, thread: Mutex::new(Some(thread)) })))
    }

    /// The file that is written; closed ones stand beside it.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Writes down that something begins. With `durable` the line is on disk when this returns: so it must be for
    /// whatever changes something or uses a key.
    pub async fn begin(&self, event: Event, durable: bool) -> Result<Entry, AuditError> {
        let queue = self.0.queue.clone();
        // One permit for this line and one for its completion, so that completing never waits and never fails for room.
        queue.room.acquire_many(2).await.map_err(|_| AuditError::Failed)?.forget();
        let event_id = self.0.env.uuid();
        let text = event.text(&event_id);
        let body = event.line("begin", &event_id, &text, None);
        let (sender, receiver) = oneshot::channel();
        queue.push(Message { body: Some(body), durable: durable.then_some(sender) })?;
        let entry = Entry { queue, event, event_id, text, completed: false };
        if durable {
            receiver.await.map_err(|_| AuditError::Failed)??;
        }
        Ok(entry)
    }

    /// Writes down something that has no act of its own, such as a refused signature or a client's connection.
    pub async fn note(&self, event: Event, outcome: Outcome) -> Result<(), AuditError> {
        self.0.queue.room.acquire().await.map_err(|_| AuditError::Failed)?.forget();
        let event_id = self.0.env.uuid();
        let body = event.line("note", &event_id, &event.text(&event_id), Some(&outcome));
        self.0.queue.push(Message { body: Some(body), durable: None })
    }

    /// Waits until everything written so far is on disk.
    pub async fn flush(&self) -> Result<(), AuditError> {
        let (sender, receiver) = oneshot::channel();
        self.0.queue.push(Message { body: None, durable: Some(sender) })?;
        receiver.await.map_err(|_| AuditError::Failed)?
    }

    /// Writes what waits, syncs, and closes the file. Later entries are refused.
    pub async fn close(&self) -> Result<(), AuditError> {
        let outcome = self.flush().await;
        self.0.queue.close();
        outcome
    }

    #[cfg(test)]
    fn syncs(&self) -> u64 {
        self.0.queue.syncs.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Whether a write has failed: nothing is accepted any more.
    pub fn failed(&self) -> bool {
        self.0.queue.failed()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.lock().take() {
            // A writer that panicked has nothing more to write.
            _ = thread.join();
        }
    }
}

impl Entry {
    /// The event's id.
    pub fn id(&self) -> &str {
        &self.event_id
    }

    /// Writes down how it ended.
    pub fn complete(mut self, outcome: Outcome) -> Result<(), AuditError> {
        self.finish(&outcome)
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<(), AuditError> {
        self.completed = true;
        let body = self.event.line("complete", &self.event_id, &self.text, Some(outcome));
        self.queue.push(Message { body: Some(body), durable: None })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.completed {
            // When the log itself has failed there is nowhere left to write this.
            _ = self.finish(&Outcome::failure("Abandoned", "The call ended without an outcome."));
        }
    }
}

#[cfg(test)]
mod tests;
