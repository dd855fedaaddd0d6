//! OPEN_DOWNGRADE: an open for less than before. RFC 8881 section 18.18.

use nfs_state::Share;
use nfs_wire::nfs4::{OpenDowngrade4Args, Stateid4};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: OpenDowngrade4Args) -> Result<Stateid4, NfsError> {
    let object = cx.object()?;
    object.check_sealed()?;
    let client = cx.client()?;
    let stateid = cx.stateid(args.open_stateid)?;
    let share = Share::of_downgrade(args.share_access, args.share_deny)?;
    let served = &object.view.served;
    let (changed, effects) =
        served.holdings.with(|state, _| state.open_downgrade(&client, object.node.fileid(), &stateid, share));
    cx.admitted.settle(served, effects).await?;
    let changed = changed?;
    cx.set_stateid(changed);
    Ok(changed)
}
