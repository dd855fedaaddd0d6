//! What can stop a command of `coffer`, with cause and cure.

use std::path::PathBuf;

/// The error of a whole command, printed for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CofferError {
    /// The configuration file cannot be used.
    #[error("{}: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Cause and cure.
        why: String,
    },
    /// A file or directory cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause and cure.
        why: String,
    },
    /// Something else stopped the command.
    #[error("{0}")]
    Stopped(String),
}

impl CofferError {
    /// An error of the operating system about `path`.
    pub(crate) fn io(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        Self::File { path: path.into(), why: error.to_string() }
    }

    /// Any other cause, told as a sentence.
    pub(crate) fn stopped(why: impl std::fmt::Display) -> Self {
        Self::Stopped(why.to_string())
    }
}
