//! CLOSE: an open ends, and with it the byte-range locks that hang on it. RFC 8881 section 18.2.

use nfs_wire::nfs4::{Close4Args, Stateid4};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Close4Args) -> Result<Stateid4, NfsError> {
    let object = cx.object()?;
    let client = cx.client()?;
    let stateid = cx.stateid(args.open_stateid)?;
    let served = &object.view.served;
    let (closed, effects) =
        served.holdings.with(|state, effects| state.close(&client, object.node.fileid(), &stateid, effects));
    cx.admitted.settle_sealed(served, effects).await?;
    let closed = closed?;
    cx.set_stateid(closed);
    Ok(closed)
}
