//! Whether an opening still takes changes. It fails once and for all.

use std::sync::OnceLock;

use tokio::sync::watch;

use crate::StorageError;

pub(crate) struct Health {
    over: watch::Sender<bool>,
    reason: OnceLock<String>,
    name: String,
}

impl Health {
    /// Of the shard that logs call `name`.
    pub(crate) fn new(name: String) -> Self {
        Self { over: watch::Sender::new(false), reason: OnceLock::new(), name }
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
