//! DESTROY_CLIENTID: a client without sessions and state goes. RFC 8881 section 18.50.

use nfs_state::Dropped;
use nfs_wire::nfs4::DestroyClientid4Args;

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: DestroyClientid4Args) -> Result<(), NfsError> {
    let mut dropped = Dropped::default();
    let destroyed = cx.admitted.server.state.lock().destroy_clientid(args.clientid, &mut dropped);
    cx.admitted.settle_dropped(dropped).await?;
    Ok(destroyed?)
}
