//! The audit log: append-only, hash-chained JSON lines in the shape of CloudTrail records; begin, act, complete.
//!
//! CloudTrail User Guide, "CloudTrail record contents". A call is written down before it acts and completed after it,
//! whatever happens to it. The log fails closed: when a line cannot be written, nothing that needs one goes on.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic"))]

mod chain;
mod event;
mod files;
mod log;
mod writer;

pub use chain::{Head, Report, verify};
pub use event::{Event, EventType, Outcome, Resource};
pub use log::{AuditLog, Entry};

use std::path::PathBuf;

/// Why the log cannot be opened, written or believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The operating system said no.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: String,
    },
    /// Another process writes this log.
    #[error("{0}: another process has the audit log open")]
    Locked(PathBuf),
    /// A line does not follow from the one before.
    #[error(
        "{path}: the audit log is broken at byte {offset}: {why}. Keep the file as evidence and start with a new one"
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where the first bad line begins.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An earlier write failed; the log takes nothing more until it is opened again.
    #[error(
        "the audit log has failed and takes no more records; the server's log says why: cure that and start it again"
    )]
    Failed,
}
