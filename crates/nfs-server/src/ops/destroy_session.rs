//! DESTROY_SESSION: a session ends, with its replies. RFC 8881 section 18.37.

use nfs_state::Dropped;
use nfs_wire::nfs4::DestroySession4Args;

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: DestroySession4Args) -> Result<(), NfsError> {
    let mut dropped = Dropped::default();
    let destroyed = cx.admitted.server.state.lock().destroy_session(&args.sessionid, cx.connection, &mut dropped);
    cx.admitted.settle_dropped(dropped).await?;
    Ok(destroyed?)
}
