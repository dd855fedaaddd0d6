//! LOCKT: could a byte range be locked? RFC 8881 section 18.11.

use nfs_state::LockTest;
use nfs_wire::nfs4::Lockt4Args;

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Lockt4Args) -> Result<(), NfsError> {
    let object = cx.object()?;
    object.check_regular()?;
    object.check_sealed()?;
    let client = cx.client()?;
    let test = LockTest {
        file: object.node.fileid(),
        kind: args.locktype,
        offset: args.offset,
        length: args.length,
        owner: args.owner.owner.as_slice(),
    };
    let now = cx.shared.env.now();
    let served = &object.view.served;
    let (free, effects) = served.holdings.with(|state, effects| state.lockt(now, &client, &test, effects));
    cx.admitted.settle(served, effects).await?;
    Ok(free?)
}
