//! Share reservations: what an open may do and what it denies to others. RFC 8881, sections 9.7 and 18.16.3.

use std::sync::Arc;

use nfs_wire::nfs4::{OpenDelegation4, OpenNoneDelegation4, share};

use crate::client::ClientKey;
use crate::error::StateError;

/// What an open may do, and what it denies to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// `share::ACCESS_*`, at least one.
    pub access: u32,
    /// `share::DENY_*`.
    pub deny: u32,
}

/// What the client would like as to delegations, to be told why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// It does not say.
    NoPreference,
    /// None.
    No,
    /// Some kind.
    Some,
    /// It takes an earlier wish back.
    Cancel,
}

impl Share {
    /// Reads `share_access` and `share_deny` of an OPEN. RFC 8881, section 18.16.3.
    pub fn of_open(share_access: u32, share_deny: u32) -> Result<(Self, Want), StateError> {
        let signals = share::WANT_SIGNAL_WHEN_AVAIL | share::WANT_PUSH_WHEN_UNCONTENDED;
        let want = match share_access & share::WANT_MASK {
            share::WANT_NO_PREFERENCE => Want::NoPreference,
            share::WANT_NO_DELEG => Want::No,
            share::WANT_READ_DELEG | share::WANT_WRITE_DELEG | share::WANT_ANY_DELEG => Want::Some,
            share::WANT_CANCEL => Want::Cancel,
            _ => return Err(StateError::Invalid),
        };
        let access = share_access & !(share::WANT_MASK | signals);
        Ok((Self::of_downgrade(access, share_deny)?, want))
    }

    /// Reads those of an OPEN_DOWNGRADE, which knows no wishes.
    pub const fn of_downgrade(share_access: u32, share_deny: u32) -> Result<Self, StateError> {
        if share_access == 0 || share_access > share::ACCESS_BOTH || share_deny > share::DENY_BOTH {
            return Err(StateError::Invalid);
        }
        Ok(Self { access: share_access, deny: share_deny })
    }

    /// Whether one denies what the other wants.
    pub(crate) const fn conflicts_with(self, other: Self) -> bool {
        self.access & other.deny != 0 || self.deny & other.access != 0
    }
}

impl Want {
    /// The delegation part of an OPEN reply of a server that grants none.
    pub const fn refusal(self) -> OpenDelegation4 {
        match self {
            Self::NoPreference => OpenDelegation4::None,
            Self::No => OpenDelegation4::NoneExt(OpenNoneDelegation4::NotWanted),
            Self::Some => OpenDelegation4::NoneExt(OpenNoneDelegation4::Resource(false)),
            Self::Cancel => OpenDelegation4::NoneExt(OpenNoneDelegation4::Cancelled),
        }
    }
}

/// An open of a file by an open owner: the union of its OPENs.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) client: ClientKey,
    pub(crate) owner: Arc<[u8]>,
    pub(crate) file: u64,
    pub(crate) share: Share,
    /// Which `access` values were opened, and which `deny` values: an OPEN_DOWNGRADE must be the union of some of them.
    pub(crate) accesses: u8,
    pub(crate) denies: u8,
    pub(crate) seqid: u32,
}

/// Whether `target` is the union of some of the values whose bits are set in `opened`.
pub(crate) fn is_union_of(opened: u8, target: u32) -> bool {
    let parts = (0..4_u32).filter(|value| opened & (1 << value) != 0 && value & !target == 0);
    parts.reduce(|union, value| union | value) == Some(target)
}
