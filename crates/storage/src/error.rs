//! What can go wrong in storage, named where it happens.

use std::{io, path::Path};

/// A read, an opening or a segment operation failed. Cheap to clone, since one failure answers many.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused: an error of the disk or of permissions.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        cause: String,
    },
    /// A file does not hold what it must. `cure` says what an operator can do.
    #[error("{path}: {what}; {cure}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
        /// What to do.
        cure: String,
    },
    /// The data was written by another version of Coffer.
    #[error(
        "{path}: format version {found}, but this server reads version {expected}; start the server version that wrote it"
    )]
    Version {
        /// The file that says so.
        path: String,
        /// The version found.
        found: u32,
        /// The version wanted.
        expected: u32,
    },
    /// Another process has the directory open.
    #[error("{path}: another server has it open; stop that one first")]
    Locked {
        /// The lock file.
        path: String,
    },
    /// There is nothing at the path, or what is there is not a shard.
    #[error("{path}: no shard here")]
    Missing {
        /// The directory.
        path: String,
    },
    /// Something is at the path already.
    #[error("{path}: exists already")]
    Exists {
        /// The directory.
        path: String,
    },
    /// The shard failed earlier, or was closed: it answers nothing more. Reopen it.
    #[error("the shard stopped: {0}")]
    Stopped(String),
    /// There is no room for this.
    #[error("no space left")]
    NoSpace,
    /// More than the limits allow.
    #[error("larger than the limits allow")]
    TooLarge,
    /// A sealed record does not open: another control key, or changed bytes.
    #[error("{0}")]
    Sealed(String),
    /// The place or the range asked for does not exist.
    #[error("no such place: {0}")]
    NoSuchPlace(String),
}

impl StorageError {
    /// An error of the operating system at `path`.
    #[must_use]
    pub fn io(path: &Path, cause: &io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Io { path: path.display().to_string(), cause: cause.to_string() },
        }
    }

    /// A damaged file.
    #[must_use]
    pub fn damaged(path: &Path, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Damaged { path: path.display().to_string(), what: what.into(), cure: cure.into() }
    }
}

/// A commit did not happen, or nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// This opening of the shard may change nothing more: it failed, was closed, or another owner took over. Not done.
    #[error("this opening of the shard has ended")]
    Fenced,
    /// The batch is larger than [`Limits`](crate::Limits) allow. Not done.
    #[error("the batch is larger than the limits allow")]
    TooLarge,
    /// The outcome of the batch with this token is unknown until the shard is reopened and
    /// [`committed`](crate::Shard::committed) is asked.
    #[error("the outcome of batch {0:032x} is unknown")]
    Unknown(u128),
    /// The disk or the engine refused before anything was written. Not done.
    #[error("{0}")]
    Io(String),
    /// There is no room; a batch that frees space would be taken. Not done.
    #[error("no space left")]
    NoSpace,
}
