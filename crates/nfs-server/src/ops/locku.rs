//! LOCKU: a byte range is unlocked. RFC 8881 section 18.12.

use nfs_wire::nfs4::{Locku4Args, Stateid4};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Locku4Args) -> Result<Stateid4, NfsError> {
    let object = cx.object()?;
    let client = cx.client()?;
    let stateid = cx.stateid(args.lock_stateid)?;
    let served = &object.view.served;
    let (unlocked, effects) = served
        .holdings
        .with(|state, _| state.locku(&client, object.node.fileid(), &stateid, (args.offset, args.length)));
    cx.admitted.settle_sealed(served, effects).await?;
    let unlocked = unlocked?;
    cx.set_stateid(unlocked);
    Ok(unlocked)
}
