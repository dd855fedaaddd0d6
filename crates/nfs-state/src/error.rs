//! Why state is not given, and the code that a client sees.

use nfs_wire::NfsStat4;
use nfs_wire::nfs4::Lock4Denied;

/// The condition that stands against a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// An argument makes no sense.
    #[error("an argument makes no sense")]
    Invalid,
    /// A limit of this client or file is reached.
    #[error("a limit is reached")]
    Quota,
    /// No memory for another session.
    #[error("no room for another session")]
    NoRoom,
    /// Not now.
    #[error("not now")]
    Delay,
    /// The client id is of no client.
    #[error("the client id is of no client")]
    StaleClientId,
    /// The client id or owner belongs to another principal.
    #[error("the client is in use by another principal")]
    ClientInUse,
    /// The client still has state.
    #[error("the client still has state")]
    ClientBusy,
    /// There is no confirmed record to update.
    #[error("no confirmed record")]
    NoRecord,
    /// The confirmed record is of another incarnation.
    #[error("the record is of another incarnation")]
    OtherIncarnation,
    /// The confirmed record is of another principal.
    #[error("the record is of another principal")]
    OtherPrincipal,
    /// The state protection asked for is not offered.
    #[error("state protection is not offered")]
    ProtectionUnsupported,
    /// A channel would be too small to carry anything.
    #[error("a channel would be too small")]
    TooSmall,
    /// A sequence id is neither the next nor the last.
    #[error("a sequence id is out of order")]
    SequenceMisordered,
    /// The session is of no client here.
    #[error("no such session")]
    BadSession,
    /// The session died with an earlier instance of the server.
    #[error("the session died with an earlier instance of the server")]
    DeadSession,
    /// The connection is not bound to the session.
    #[error("the connection is not bound to the session")]
    ConnectionNotBound,
    /// RECLAIM_COMPLETE came before.
    #[error("reclaiming was completed before")]
    AlreadyComplete,
    /// Only reclaims are taken now.
    #[error("only reclaims are taken now")]
    Grace,
    /// Reclaims are not taken (any more).
    #[error("reclaims are not taken")]
    NoGrace,
    /// There is nothing on record that this client could reclaim.
    #[error("nothing on record to reclaim")]
    ReclaimBad,
    /// What is reclaimed conflicts with what another holds.
    #[error("the reclaim conflicts with other state")]
    ReclaimConflict,
    /// The stateid is none of this client's, not of this file, or of an earlier instance of the server.
    #[error("no such stateid")]
    BadStateid,
    /// The stateid was replaced by a later one.
    #[error("an old stateid")]
    OldStateid,
    /// An open by another stands against it.
    #[error("a share reservation is in the way")]
    ShareDenied,
    /// A share reservation stands against input or output without an open.
    #[error("a share reservation forbids it")]
    Locked,
    /// The open is not for this access.
    #[error("not opened for this")]
    OpenMode,
    /// A byte-range lock stands against it.
    #[error("a byte-range lock is in the way")]
    Denied(Box<Lock4Denied>),
    /// Byte-range locks hang on the stateid.
    #[error("locks are held")]
    LocksHeld,
    /// The operation needs delegations, which are never given.
    #[error("delegations are not given")]
    NoDelegations,
}

impl StateError {
    /// The code on the wire; where the RFC leaves a choice the section is named.
    pub const fn status(&self) -> NfsStat4 {
        match self {
            Self::Invalid => NfsStat4::Inval,
            // EFS's quotas on locks and open files show as "Disk quota exceeded".
            Self::Quota => NfsStat4::Dquot,
            Self::NoRoom => NfsStat4::Nospc,
            Self::Delay => NfsStat4::Delay,
            Self::StaleClientId => NfsStat4::StaleClientid,
            Self::ClientInUse => NfsStat4::ClidInuse,
            Self::ClientBusy => NfsStat4::ClientidBusy,
            Self::NoRecord => NfsStat4::Noent,
            Self::OtherIncarnation => NfsStat4::NotSame,
            Self::OtherPrincipal => NfsStat4::Perm,
            // RFC 8881 §18.35.3: without a suitable algorithm in common.
            Self::ProtectionUnsupported => NfsStat4::EncrAlgUnsupp,
            Self::TooSmall => NfsStat4::Toosmall,
            Self::SequenceMisordered => NfsStat4::SeqMisordered,
            Self::BadSession => NfsStat4::Badsession,
            Self::DeadSession => NfsStat4::Deadsession,
            Self::ConnectionNotBound => NfsStat4::ConnNotBoundToSession,
            Self::AlreadyComplete => NfsStat4::CompleteAlready,
            Self::Grace => NfsStat4::Grace,
            Self::NoGrace => NfsStat4::NoGrace,
            Self::ReclaimBad => NfsStat4::ReclaimBad,
            Self::ReclaimConflict => NfsStat4::ReclaimConflict,
            Self::BadStateid => NfsStat4::BadStateid,
            Self::OldStateid => NfsStat4::OldStateid,
            Self::ShareDenied => NfsStat4::ShareDenied,
            Self::Locked => NfsStat4::Locked,
            Self::OpenMode => NfsStat4::Openmode,
            Self::Denied(_) => NfsStat4::Denied,
            Self::LocksHeld => NfsStat4::LocksHeld,
            Self::NoDelegations => NfsStat4::Notsupp,
        }
    }
}
