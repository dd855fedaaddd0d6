//! BIND_CONN_TO_SESSION: this connection carries the session, too. Its own virtual server knows only its own sessions, so a
//! session of another one is NFS4ERR_BADSESSION. RFC 8881 section 18.34, Architecture section 2.5.

use nfs_wire::nfs4::{BindConnToSession4Args, BindConnToSession4Resok};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: BindConnToSession4Args) -> Result<BindConnToSession4Resok, NfsError> {
    let now = cx.shared.env.now();
    let bound = cx.admitted.server.state.lock().bind_conn_to_session(now, &args, cx.connection)?;
    cx.gate.session_begun();
    Ok(bound)
}
