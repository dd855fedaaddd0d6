//! The types of NFSv4.1, named as RFC 8881 and RFC 5662 name them, in Rust case. Limits that the RFC leaves open are set here.

mod callback;
mod compound;
mod file;
mod lock;
mod open;
mod session;

pub use callback::{AuthsysParms, CallbackSecParms4, GssCbHandles4, RpcGssSvc};
pub use compound::{Compound4Args, Compound4Res, CompoundEncoder, OPERATIONS_MAX, ResultPlace, TAG_BYTES_MAX};
pub use file::{
    Access4Args, Access4Resok, ChangeInfo4, Commit4Args, Component4, Create4Args, Create4Resok, Createtype4, Dirlist4,
    Entry4, Fsid4, Getattr4Args, Link4Args, Linktext4, Lookup4Args, ModeMasked4, NAME_BYTES_MAX, NfsFh4, NfsFtype4,
    Nfstime4, Nverify4Args, Putfh4Args, Read4Args, Read4Resok, Readdir4Args, Readdir4Resok, Remove4Args, Rename4Args,
    Rename4Resok, RpcsecGssInfo, Secinfo4, Secinfo4Args, Secinfo4Resok, SecinfoNoName4Args, SecinfoStyle4,
    Setattr4Args, Setattr4Res, Settime4, Specdata4, StableHow4, Stateid4, Utf8Mixed, Verifier4, Verify4Args,
    Write4Args, Write4Resok,
};
pub use lock::{
    ExistLockOwner4, FreeStateid4Args, Lock4Args, Lock4Denied, Lock4Res, Locker4, Lockt4Args, Lockt4Res, Locku4Args,
    NfsLockType4, OpenToLockOwner4, StateOwner4, TestStateid4Args, TestStateid4Resok,
};
pub use open::{
    Close4Args, Createhow4, Creatverfattr, Delegreturn4Args, Open4Args, Open4Resok, OpenClaim4, OpenClaimDelegateCur4,
    OpenDelegation4, OpenDelegationType4, OpenDowngrade4Args, OpenNoneDelegation4, Openflag4, result_flags, share,
};
pub use session::{
    BackchannelCtl4Args, BindConnToSession4Args, BindConnToSession4Resok, ChannelAttrs4, ChannelDirFromClient4,
    ChannelDirFromServer4, ClientOwner4, CreateSession4Args, CreateSession4Resok, DestroyClientid4Args,
    DestroySession4Args, ExchangeId4Args, ExchangeId4Resok, NfsImplId4, ReclaimComplete4Args, SESSION_ID_BYTES,
    Sequence4Args, Sequence4Resok, ServerOwner4, SessionId4, SsvProtInfo4, SsvSpParms4, StateProtect4A, StateProtect4R,
    StateProtectOps4, create_session_flags, exchange_id_flags, sequence_flags,
};

/// NFS's RPC program number. RFC 8881, section 2.2.
pub const PROGRAM: u32 = 100_003;
/// The program's version, for every minor version.
pub const VERSION: u32 = 4;
/// The NULL procedure.
pub const PROCEDURE_NULL: u32 = 0;
/// The COMPOUND procedure.
pub const PROCEDURE_COMPOUND: u32 = 1;
/// `NFS4_OPAQUE_LIMIT`: the longest owner.
pub const OPAQUE_BYTES_MAX: usize = 1024;
/// `NFS4_FHSIZE`: the longest filehandle.
pub const FILEHANDLE_BYTES_MAX: usize = 128;
