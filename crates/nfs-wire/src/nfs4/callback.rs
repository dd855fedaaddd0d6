//! What CREATE_SESSION and BACKCHANNEL_CTL say about the back channel. RFC 8881, sections 18.33 and 18.36; RFC 5531, appendix A.

use crate::bounded::{List, Opaque};

crate::xdr! {
    /// `authsys_parms`: the body of an AUTH_SYS credential.
    pub struct AuthsysParms { stamp: u32, machinename: Opaque<255>, uid: u32, gid: u32, gids: List<u32, 16> }

    /// `rpc_gss_svc_t`.
    pub enum RpcGssSvc { None = 1, Integrity = 2, Privacy = 3 }

    /// `gss_cb_handles4`.
    pub struct GssCbHandles4 {
        service: RpcGssSvc,
        handle_from_server: Opaque<1024>,
        handle_from_client: Opaque<1024>,
    }

    /// `callback_sec_parms4`: a security flavor that the server may use for callbacks.
    pub union CallbackSecParms4 { None = 0, Sys(AuthsysParms) = 1, Gss(GssCbHandles4) = 6 }
}
