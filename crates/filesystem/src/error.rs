//! What can go wrong in a file system, named by its condition. The protocol server translates, once (Architecture
//! section 1, "Errors").

use crypto::{OpenFailed, WrongKeyLength};
use storage::StorageError;

/// Why a sealed file system is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealCause {
    /// The key is disabled, deleted, or its use is denied: an I/O error until someone changes that.
    Refused,
    /// The key service does not answer and the key lease has run out: try again later.
    Unreachable,
}

/// The outcome of an operation that was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FsError {
    /// No entry of that name.
    #[error("no such entry")]
    NotFound,
    /// There is an entry of that name already.
    #[error("the entry exists")]
    Exists,
    /// The object is not a directory.
    #[error("not a directory")]
    NotDirectory,
    /// The object is a directory.
    #[error("is a directory")]
    IsDirectory,
    /// The object is a symbolic link where something else is needed.
    #[error("is a symbolic link")]
    IsSymlink,
    /// The object is of a type that the operation has no meaning for.
    #[error("wrong type of object")]
    WrongType,
    /// The directory has entries.
    #[error("directory not empty")]
    NotEmpty,
    /// The mode bits do not allow it.
    #[error("permission denied")]
    Access,
    /// Only the owner or uid 0 may.
    #[error("not the owner")]
    NotOwner,
    /// A name, or a symlink target, over its limit.
    #[error("name too long")]
    NameTooLong,
    /// An empty name, `.`, `..`, or one with a slash or a NUL.
    #[error("bad name")]
    BadName,
    /// The object has as many links as allowed.
    #[error("too many links")]
    TooManyLinks,
    /// Beyond the largest file size.
    #[error("file too big")]
    FileTooBig,
    /// No space in the data directory.
    #[error("no space")]
    NoSpace,
    /// A limit of the file system's settings.
    #[error("over a limit of the file system")]
    Quota,
    /// The caller may only read.
    #[error("read-only")]
    ReadOnly,
    /// A file handle of an object that is gone.
    #[error("stale file handle")]
    Stale,
    /// Bytes that are no file handle of this file system.
    #[error("bad file handle")]
    BadHandle,
    /// A directory cookie that was never given out.
    #[error("bad cookie")]
    BadCookie,
    /// Arguments that make no sense together, a directory moved under itself among them.
    #[error("invalid argument")]
    Invalid,
    /// No key, no data: the file system is sealed.
    #[error("the file system is sealed")]
    Sealed(SealCause),
    /// Stored bytes that cannot be read or do not verify; the text is for the log.
    #[error("i/o error: {0}")]
    Io(String),
    /// Not now; the same request may succeed later.
    #[error("try again later")]
    Delay,
    /// The shard has failed: nothing may be answered, and the file system has to be opened again.
    #[error("the shard has failed")]
    Failed,
}

impl From<StorageError> for FsError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NoSpace => Self::NoSpace,
            // Whoever watches the shard says so to everybody in a moment.
            StorageError::Stopped(_) => Self::Failed,
            StorageError::Io { .. }
            | StorageError::Damaged { .. }
            | StorageError::Version { .. }
            | StorageError::Locked { .. }
            | StorageError::Missing { .. }
            | StorageError::Exists { .. }
            | StorageError::TooLarge
            | StorageError::Sealed(_)
            | StorageError::NoSuchPlace(_) => Self::Io(error.to_string()),
        }
    }
}

impl From<WrongKeyLength> for FsError {
    fn from(error: WrongKeyLength) -> Self {
        Self::Io(error.to_string())
    }
}

impl From<OpenFailed> for FsError {
    fn from(error: OpenFailed) -> Self {
        Self::Io(error.to_string())
    }
}

/// The result of every operation here.
pub type Result<T, E = FsError> = std::result::Result<T, E>;
