//! OPEN, OPEN_DOWNGRADE, CLOSE and what remains of delegations where none are granted. RFC 8881, sections 18.2, 18.16, 18.18.

use super::file::{ChangeInfo4, Component4, Stateid4, Verifier4};
use super::lock::StateOwner4;
use crate::attributes::{Bitmap4, Fattr4};

/// `OPEN4_SHARE_*`: bits of `share_access` and `share_deny`.
pub mod share {
    /// Access: read.
    pub const ACCESS_READ: u32 = 1;
    /// Access: write.
    pub const ACCESS_WRITE: u32 = 2;
    /// Access: both.
    pub const ACCESS_BOTH: u32 = 3;
    /// Deny: nothing.
    pub const DENY_NONE: u32 = 0;
    /// Deny: reading.
    pub const DENY_READ: u32 = 1;
    /// Deny: writing.
    pub const DENY_WRITE: u32 = 2;
    /// Deny: both.
    pub const DENY_BOTH: u32 = 3;
    /// The part of `share_access` that says which delegation is wanted.
    pub const WANT_MASK: u32 = 0xff00;
    /// The client does not care.
    pub const WANT_NO_PREFERENCE: u32 = 0x0000;
    /// A read delegation.
    pub const WANT_READ_DELEG: u32 = 0x0100;
    /// A write delegation.
    pub const WANT_WRITE_DELEG: u32 = 0x0200;
    /// Any delegation.
    pub const WANT_ANY_DELEG: u32 = 0x0300;
    /// None.
    pub const WANT_NO_DELEG: u32 = 0x0400;
    /// Take back an earlier want.
    pub const WANT_CANCEL: u32 = 0x0500;
    /// Tell when a delegation could be had.
    pub const WANT_SIGNAL_WHEN_AVAIL: u32 = 0x0001_0000;
    /// Push a delegation when there is no contention any more.
    pub const WANT_PUSH_WHEN_UNCONTENDED: u32 = 0x0002_0000;
}

/// `OPEN4_RESULT_*`: bits of `rflags`.
pub mod result_flags {
    /// Only in NFSv4.0.
    pub const CONFIRM: u32 = 2;
    /// Locks follow POSIX: they may be split and merged.
    pub const LOCKTYPE_POSIX: u32 = 4;
    /// The file stays while it is open, even when its last name is removed.
    pub const PRESERVE_UNLINKED: u32 = 8;
    /// The server may send CB_NOTIFY_LOCK.
    pub const MAY_NOTIFY_LOCK: u32 = 32;
}

crate::xdr! {
    /// `CLOSE4args`; the reply is a stateid of no further use.
    pub struct Close4Args { seqid: u32, open_stateid: Stateid4 }

    /// `DELEGRETURN4args`.
    pub struct Delegreturn4Args { deleg_stateid: Stateid4 }

    /// `creatverfattr`.
    pub struct Creatverfattr { verf: Verifier4, attrs: Fattr4 }
    /// `createhow4`. `Exclusive` is deprecated in 4.1 in favour of `Exclusive4_1`.
    pub union Createhow4 {
        Unchecked(Fattr4) = 0, Guarded(Fattr4) = 1, Exclusive(Verifier4) = 2, Exclusive41(Creatverfattr) = 3,
    }
    /// `openflag4`.
    pub union Openflag4 { Nocreate = 0, Create(Createhow4) = 1 }
    /// `open_delegation_type4`.
    pub enum OpenDelegationType4 { None = 0, Read = 1, Write = 2, NoneExt = 3 }
    /// `open_claim_delegate_cur4`.
    pub struct OpenClaimDelegateCur4 { delegate_stateid: Stateid4, file: Component4 }
    /// `open_claim4`.
    pub union OpenClaim4 {
        Null(Component4) = 0,
        Previous(OpenDelegationType4) = 1,
        DelegateCur(OpenClaimDelegateCur4) = 2,
        DelegatePrev(Component4) = 3,
        Fh = 4,
        DelegPrevFh = 6,
        DelegCurFh(Stateid4) = 5,
    }
    /// `OPEN4args`.
    pub struct Open4Args {
        seqid: u32,
        share_access: u32,
        share_deny: u32,
        owner: StateOwner4,
        openhow: Openflag4,
        claim: OpenClaim4,
    }
    /// `open_delegation4`, as far as a server that grants none can say it.
    pub union OpenDelegation4 { None = 0, NoneExt(OpenNoneDelegation4) = 3 }
    /// `OPEN4resok`.
    pub struct Open4Resok {
        stateid: Stateid4,
        cinfo: ChangeInfo4,
        rflags: u32,
        attrset: Bitmap4,
        delegation: OpenDelegation4,
    }
    /// `OPEN_DOWNGRADE4args`.
    pub struct OpenDowngrade4Args { open_stateid: Stateid4, seqid: u32, share_access: u32, share_deny: u32 }

    /// `open_none_delegation4`: why no delegation was granted, with `why_no_delegation4` as discriminant.
    pub union OpenNoneDelegation4 {
        NotWanted = 0,
        Contention(bool) = 1,
        Resource(bool) = 2,
        NotSuppFtype = 3,
        WriteDelegNotSuppFtype = 4,
        NotSuppUpgrade = 5,
        NotSuppDowngrade = 6,
        Cancelled = 7,
        IsDir = 8,
    }
}
