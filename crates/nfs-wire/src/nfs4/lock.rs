//! Byte-range locks and stateids. RFC 8881, sections 18.10 to 18.12, 18.38 and 18.48.

use super::OPAQUE_BYTES_MAX;
use super::file::Stateid4;
use crate::bounded::{List, Opaque};
use crate::status::{NfsStat4, Reply};
use crate::xdr::{Decoder, Encoder, Malformed, Xdr};

crate::xdr! {
    /// `nfs_lock_type4`. The last two say that the client would wait.
    pub enum NfsLockType4 { Read = 1, Write = 2, Readw = 3, Writew = 4 }

    /// `state_owner4`: an open owner or a lock owner. In 4.1 the client id is ignored.
    pub struct StateOwner4 { clientid: u64, owner: Opaque<OPAQUE_BYTES_MAX> }

    /// `open_to_lock_owner4`.
    pub struct OpenToLockOwner4 { open_seqid: u32, open_stateid: Stateid4, lock_seqid: u32, lock_owner: StateOwner4 }
    /// `exist_lock_owner4`.
    pub struct ExistLockOwner4 { lock_stateid: Stateid4, lock_seqid: u32 }
    /// `locker4`.
    pub union Locker4 { NewLockOwner(OpenToLockOwner4) = 1, ExistingLockOwner(ExistLockOwner4) = 0 }

    /// `LOCK4args`.
    pub struct Lock4Args { locktype: NfsLockType4, reclaim: bool, offset: u64, length: u64, locker: Locker4 }
    /// `LOCK4denied`: the lock in the way.
    pub struct Lock4Denied { offset: u64, length: u64, locktype: NfsLockType4, owner: StateOwner4 }
    /// `LOCKT4args`.
    pub struct Lockt4Args { locktype: NfsLockType4, offset: u64, length: u64, owner: StateOwner4 }
    /// `LOCKU4args`.
    pub struct Locku4Args { locktype: NfsLockType4, seqid: u32, lock_stateid: Stateid4, offset: u64, length: u64 }

    /// `FREE_STATEID4args`.
    pub struct FreeStateid4Args { stateid: Stateid4 }
    /// `TEST_STATEID4args`.
    pub struct TestStateid4Args { stateids: List<Stateid4, 1024> }
}

/// `TEST_STATEID4resok`: one status for each stateid, in their order.
pub type TestStateid4Resok = List<NfsStat4, 1024>;

/// `LOCK4res`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock4Res {
    /// The lock is held.
    Ok(Stateid4),
    /// Another lock is in the way.
    Denied(Lock4Denied),
    /// Any other error.
    Failed(NfsStat4),
}

impl Reply for Lock4Res {
    fn status(&self) -> NfsStat4 {
        match self {
            Self::Ok(_) => NfsStat4::Ok,
            Self::Denied(_) => NfsStat4::Denied,
            Self::Failed(status) => *status,
        }
    }
    fn failure(status: NfsStat4) -> Self {
        Self::Failed(status)
    }
}

impl Xdr for Lock4Res {
    const WIRE_BYTES_MIN: usize = 4;
    fn encode(&self, encoder: &mut Encoder) {
        self.status().encode(encoder);
        match self {
            Self::Ok(stateid) => stateid.encode(encoder),
            Self::Denied(denied) => denied.encode(encoder),
            Self::Failed(status) => debug_assert_ne!(*status, NfsStat4::Denied, "a denial says what is in the way"),
        }
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        Ok(match NfsStat4::decode(decoder)? {
            NfsStat4::Ok => Self::Ok(Stateid4::decode(decoder)?),
            NfsStat4::Denied => Self::Denied(Lock4Denied::decode(decoder)?),
            status => Self::Failed(status),
        })
    }
}

/// `LOCKT4res`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lockt4Res {
    /// The lock could be had.
    Ok,
    /// Another lock is in the way.
    Denied(Lock4Denied),
    /// Any other error.
    Failed(NfsStat4),
}

impl Reply for Lockt4Res {
    fn status(&self) -> NfsStat4 {
        match self {
            Self::Ok => NfsStat4::Ok,
            Self::Denied(_) => NfsStat4::Denied,
            Self::Failed(status) => *status,
        }
    }
    fn failure(status: NfsStat4) -> Self {
        Self::Failed(status)
    }
}

impl Xdr for Lockt4Res {
    const WIRE_BYTES_MIN: usize = 4;
    fn encode(&self, encoder: &mut Encoder) {
        self.status().encode(encoder);
        match self {
            Self::Denied(denied) => denied.encode(encoder),
            Self::Failed(status) => debug_assert_ne!(*status, NfsStat4::Denied, "a denial says what is in the way"),
            Self::Ok => {}
        }
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        Ok(match NfsStat4::decode(decoder)? {
            NfsStat4::Ok => Self::Ok,
            NfsStat4::Denied => Self::Denied(Lock4Denied::decode(decoder)?),
            status => Self::Failed(status),
        })
    }
}
