//! Whether an opening still takes changes. It fails once and for all.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use env::{Env, Instant};
use tokio::sync::watch;

use super::COMMIT_LIMIT;
use crate::StorageError;

/// How long a thread has been at something that waits for the disk.
#[derive(Default)]
pub(crate) struct Stopwatch {
    /// In nanoseconds; 0 if it does not run.
    started: AtomicU64,
}

/// The stopwatch runs until this is dropped.
pub(crate) struct Running<'a>(&'a Stopwatch);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.started.store(0, Ordering::Release);
    }
}

impl Stopwatch {
    pub(crate) fn start(&self, env: &Env) -> Running<'_> {
        self.start_at(env.now())
    }

    pub(crate) fn start_at(&self, now: Instant) -> Running<'_> {
        self.started.store(now.nanoseconds().max(1), Ordering::Release);
        Running(self)
    }

    /// Whether it has run for longer than [`COMMIT_LIMIT`].
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let started = self.started.load(Ordering::Acquire);
        started != 0 && now.since(Instant::from_nanoseconds(started)) > COMMIT_LIMIT
    }
}

pub(crate) struct Health {
    /// Runs while the segment writer waits for the disk.
    pub(crate) segments: Stopwatch,
    over: watch::Sender<bool>,
    reason: OnceLock<String>,
    name: String,
}

impl Health {
    /// Of the shard that logs call `name`.
    pub(crate) fn new(name: String) -> Self {
        Self { segments: Stopwatch::default(), over: watch::Sender::new(false), reason: OnceLock::new(), name }
    }

    /// Ends the opening because something broke. The first reason stays.
    pub(crate) fn fail(&self, reason: &str) {
        if self.reason.set(reason.to_owned()).is_ok() {
            tracing::error!(shard = %self.name, reason, "the shard failed and takes no more changes");
        }
        self.over.send_replace(true);
    }

    /// Ends the opening in good order.
    pub(crate) fn close(&self) {
        let _ = self.reason.set("it was closed".to_owned());
        self.over.send_replace(true);
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// An error if the opening is over.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        if self.is_over() { Err(self.stopped()) } else { Ok(()) }
    }

    pub(crate) fn stopped(&self) -> StorageError {
        StorageError::Stopped(self.reason.get().cloned().unwrap_or_default())
    }

    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }
}
