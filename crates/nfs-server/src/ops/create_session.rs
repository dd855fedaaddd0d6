//! CREATE_SESSION: a session for a client id, which it confirms. RFC 8881 section 18.36.

use nfs_state::Dropped;
use nfs_wire::nfs4::{CreateSession4Args, CreateSession4Resok};

use crate::admission::principal;
use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: CreateSession4Args) -> Result<CreateSession4Resok, NfsError> {
    let now = cx.shared.env.now();
    let nonce = cx.shared.env.random();
    let mut dropped = Dropped::default();
    let created = cx.admitted.server.state.lock().create_session(
        now,
        &args,
        principal(&cx.credential),
        cx.connection,
        nonce,
        &mut dropped,
    );
    // An earlier incarnation of the client loses what it held before the new one learns its session.
    cx.admitted.settle_dropped(dropped).await?;
    let created = created?;
    cx.gate.session_begun();
    Ok(created)
}
