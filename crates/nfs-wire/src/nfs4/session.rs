//! Client ids and sessions. RFC 8881, sections 18.33 to 18.37, 18.46, 18.50 and 18.51.

use super::OPAQUE_BYTES_MAX;
use super::callback::CallbackSecParms4;
use super::file::{Nfstime4, Utf8Mixed, Verifier4};
use crate::attributes::Bitmap4;
use crate::bounded::{List, Opaque};

/// `NFS4_SESSIONID_SIZE`.
pub const SESSION_ID_BYTES: usize = 16;
/// `sessionid4`.
pub type SessionId4 = [u8; SESSION_ID_BYTES];

/// `EXCHGID4_FLAG_*`. RFC 8881, section 18.35.
pub mod exchange_id_flags {
    /// The client handles NFS4ERR_MOVED from a referral.
    pub const SUPP_MOVED_REFER: u32 = 0x1;
    /// The client handles NFS4ERR_MOVED from a migration.
    pub const SUPP_MOVED_MIGR: u32 = 0x2;
    /// Stateids are bound to the principal that made them.
    pub const BIND_PRINC_STATEID: u32 = 0x100;
    /// An ordinary server.
    pub const USE_NON_PNFS: u32 = 0x0001_0000;
    /// A metadata server.
    pub const USE_PNFS_MDS: u32 = 0x0002_0000;
    /// A data server.
    pub const USE_PNFS_DS: u32 = 0x0004_0000;
    /// The three roles.
    pub const MASK_PNFS: u32 = 0x0007_0000;
    /// Update a confirmed record.
    pub const UPD_CONFIRMED_REC_A: u32 = 0x4000_0000;
    /// The record is confirmed; only in replies.
    pub const CONFIRMED_R: u32 = 0x8000_0000;
    /// What a client may send.
    pub const MASK_A: u32 = SUPP_MOVED_REFER | SUPP_MOVED_MIGR | BIND_PRINC_STATEID | MASK_PNFS | UPD_CONFIRMED_REC_A;
}

/// `CREATE_SESSION4_FLAG_*`. RFC 8881, section 18.36.
pub mod create_session_flags {
    /// Replies survive a restart of the server.
    pub const PERSIST: u32 = 1;
    /// The connection is for the back channel, too.
    pub const CONN_BACK_CHAN: u32 = 2;
    /// The connection steps up to RDMA.
    pub const CONN_RDMA: u32 = 4;
    /// All of them.
    pub const MASK: u32 = 7;
}

/// `SEQ4_STATUS_*`. RFC 8881, section 18.46.
pub mod sequence_flags {
    /// No back channel at all.
    pub const CB_PATH_DOWN: u32 = 0x1;
    /// The lease expired and all state was revoked.
    pub const EXPIRED_ALL_STATE_REVOKED: u32 = 0x8;
    /// The lease expired and some state was revoked.
    pub const EXPIRED_SOME_STATE_REVOKED: u32 = 0x10;
    /// An administrator revoked state.
    pub const ADMIN_STATE_REVOKED: u32 = 0x20;
    /// Delegations or layouts were revoked.
    pub const RECALLABLE_STATE_REVOKED: u32 = 0x40;
    /// A file system moved.
    pub const LEASE_MOVED: u32 = 0x80;
    /// The server restarted and the client must reclaim.
    pub const RESTART_RECLAIM_NEEDED: u32 = 0x100;
    /// This session has no back channel.
    pub const CB_PATH_DOWN_SESSION: u32 = 0x200;
    /// The back channel's slot table is out of step.
    pub const BACKCHANNEL_FAULT: u32 = 0x400;
}

crate::xdr! {
    /// `client_owner4`.
    pub struct ClientOwner4 { verifier: Verifier4, ownerid: Opaque<OPAQUE_BYTES_MAX> }
    /// `server_owner4`.
    pub struct ServerOwner4 { minor_id: u64, major_id: Opaque<OPAQUE_BYTES_MAX> }
    /// `nfs_impl_id4`.
    pub struct NfsImplId4 { domain: Utf8Mixed, name: Utf8Mixed, date: Nfstime4 }

    /// `state_protect_ops4`.
    pub struct StateProtectOps4 { must_enforce: Bitmap4, must_allow: Bitmap4 }
    /// `ssv_sp_parms4`.
    pub struct SsvSpParms4 {
        ops: StateProtectOps4,
        hash_algs: List<Opaque<256>, 16>,
        encr_algs: List<Opaque<256>, 16>,
        window: u32,
        num_gss_handles: u32,
    }
    /// `state_protect4_a`.
    pub union StateProtect4A { None = 0, MachCred(StateProtectOps4) = 1, Ssv(Box<SsvSpParms4>) = 2 }
    /// `ssv_prot_info4`.
    pub struct SsvProtInfo4 {
        ops: StateProtectOps4,
        hash_alg: u32,
        encr_alg: u32,
        ssv_len: u32,
        window: u32,
        handles: List<Opaque<1024>, 16>,
    }
    /// `state_protect4_r`.
    pub union StateProtect4R { None = 0, MachCred(StateProtectOps4) = 1, Ssv(Box<SsvProtInfo4>) = 2 }

    /// `EXCHANGE_ID4args`.
    pub struct ExchangeId4Args {
        clientowner: ClientOwner4,
        flags: u32,
        state_protect: StateProtect4A,
        client_impl_id: List<NfsImplId4, 1>,
    }
    /// `EXCHANGE_ID4resok`.
    pub struct ExchangeId4Resok {
        clientid: u64,
        sequenceid: u32,
        flags: u32,
        state_protect: StateProtect4R,
        server_owner: ServerOwner4,
        server_scope: Opaque<OPAQUE_BYTES_MAX>,
        server_impl_id: List<NfsImplId4, 1>,
    }

    /// `channel_attrs4`.
    pub struct ChannelAttrs4 {
        headerpadsize: u32,
        maxrequestsize: u32,
        maxresponsesize: u32,
        maxresponsesize_cached: u32,
        maxoperations: u32,
        maxrequests: u32,
        rdma_ird: List<u32, 1>,
    }
    /// `CREATE_SESSION4args`.
    pub struct CreateSession4Args {
        clientid: u64,
        sequence: u32,
        flags: u32,
        fore_chan_attrs: ChannelAttrs4,
        back_chan_attrs: ChannelAttrs4,
        cb_program: u32,
        sec_parms: List<CallbackSecParms4, 8>,
    }
    /// `CREATE_SESSION4resok`.
    pub struct CreateSession4Resok {
        sessionid: SessionId4,
        sequence: u32,
        flags: u32,
        fore_chan_attrs: ChannelAttrs4,
        back_chan_attrs: ChannelAttrs4,
    }

    /// `BACKCHANNEL_CTL4args`.
    pub struct BackchannelCtl4Args { cb_program: u32, sec_parms: List<CallbackSecParms4, 8> }

    /// `channel_dir_from_client4`.
    pub enum ChannelDirFromClient4 { Fore = 1, Back = 2, ForeOrBoth = 3, BackOrBoth = 7 }
    /// `channel_dir_from_server4`.
    pub enum ChannelDirFromServer4 { Fore = 1, Back = 2, Both = 3 }
    /// `BIND_CONN_TO_SESSION4args`.
    pub struct BindConnToSession4Args { sessid: SessionId4, dir: ChannelDirFromClient4, use_conn_in_rdma_mode: bool }
    /// `BIND_CONN_TO_SESSION4resok`.
    pub struct BindConnToSession4Resok { sessid: SessionId4, dir: ChannelDirFromServer4, use_conn_in_rdma_mode: bool }

    /// `DESTROY_SESSION4args`.
    pub struct DestroySession4Args { sessionid: SessionId4 }
    /// `DESTROY_CLIENTID4args`.
    pub struct DestroyClientid4Args { clientid: u64 }
    /// `RECLAIM_COMPLETE4args`.
    pub struct ReclaimComplete4Args { one_fs: bool }

    /// `SEQUENCE4args`.
    pub struct Sequence4Args { sessionid: SessionId4, sequenceid: u32, slotid: u32, highest_slotid: u32, cachethis: bool }
    /// `SEQUENCE4resok`.
    pub struct Sequence4Resok {
        sessionid: SessionId4,
        sequenceid: u32,
        slotid: u32,
        highest_slotid: u32,
        target_highest_slotid: u32,
        status_flags: u32,
    }
}
