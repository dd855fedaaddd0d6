//! What stands against an operation, and the one place that says which code a client sees for it. RFC 8881 section 15.1.

use filesystem::{FsError, SealCause};
use nfs_state::StateError;
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::Lock4Denied;

/// Why an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NfsError {
    /// The file system says no.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// Client state stands against it.
    #[error(transparent)]
    State(#[from] StateError),
    /// The policies say no; why is in the log.
    #[error("access is denied by policy")]
    Refused,
    /// The file system cannot be reached now.
    #[error("the file system cannot be opened now")]
    Unavailable,
    /// The file system is damaged so that it does not open; waiting does not help.
    #[error("the file system does not open")]
    Damaged,
    /// A rule of the protocol itself, by its code.
    #[error("{0:?}")]
    Rule(NfsStat4),
}

impl From<NfsStat4> for NfsError {
    fn from(status: NfsStat4) -> Self {
        Self::Rule(status)
    }
}

impl NfsError {
    /// The code on the wire. `None`: the request gets no answer at all, the connection ends.
    pub(crate) fn status(&self) -> Option<NfsStat4> {
        Some(match self {
            Self::Fs(error) => fs_status(error)?,
            Self::State(error) => error.status(),
            // Mount programs print "access denied by server" for it.
            Self::Refused => NfsStat4::Access,
            Self::Unavailable => NfsStat4::Delay,
            Self::Damaged => NfsStat4::Io,
            Self::Rule(status) => *status,
        })
    }

    /// The lock in the way, if that is what stands against it.
    pub(crate) fn denied(&self) -> Option<&Lock4Denied> {
        match self {
            Self::State(StateError::Denied(denied)) => Some(denied),
            _ => None,
        }
    }
}

fn fs_status(error: &FsError) -> Option<NfsStat4> {
    Some(match error {
        FsError::NotFound => NfsStat4::Noent,
        FsError::Exists => NfsStat4::Exist,
        FsError::NotDirectory => NfsStat4::Notdir,
        FsError::IsDirectory => NfsStat4::Isdir,
        FsError::IsSymlink => NfsStat4::Symlink,
        FsError::WrongType => NfsStat4::WrongType,
        FsError::NotEmpty => NfsStat4::Notempty,
        FsError::Access => NfsStat4::Access,
        FsError::NotOwner => NfsStat4::Perm,
        FsError::NameTooLong => NfsStat4::Nametoolong,
        FsError::BadName => NfsStat4::Badname,
        FsError::TooManyLinks => NfsStat4::Mlink,
        FsError::FileTooBig => NfsStat4::Fbig,
        FsError::NoSpace => NfsStat4::Nospc,
        FsError::Quota => NfsStat4::Dquot,
        FsError::ReadOnly => NfsStat4::Rofs,
        FsError::Stale => NfsStat4::Stale,
        FsError::BadHandle => NfsStat4::Badhandle,
        FsError::BadCookie => NfsStat4::BadCookie,
        FsError::Invalid => NfsStat4::Inval,
        // Architecture section 5: disabled, denied or deleted is an error; an unreachable key service is a matter of waiting.
        FsError::Sealed(SealCause::Refused) => NfsStat4::Io,
        FsError::Sealed(SealCause::Unreachable) => NfsStat4::Delay,
        FsError::Io(_) => NfsStat4::Io,
        FsError::Delay => NfsStat4::Delay,
        // What the shard lost was never acknowledged, and nothing may be said about it.
        FsError::Failed => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::NfsError;
    use filesystem::{FsError, SealCause};
    use nfs_wire::NfsStat4;

    /// Architecture section 5: a refused key is an I/O error, an unreachable key service asks for patience, a failed shard is silent.
    #[test]
    fn seals_and_failures_have_their_own_answers() {
        let status = |error| NfsError::Fs(error).status();
        assert_eq!(status(FsError::Sealed(SealCause::Refused)), Some(NfsStat4::Io));
        assert_eq!(status(FsError::Sealed(SealCause::Unreachable)), Some(NfsStat4::Delay));
        assert_eq!(status(FsError::Failed), None);
    }
}
