//! LOCK: a byte range is locked. Blocking kinds are answered at once, too: the client asks again. RFC 8881 section 18.10.

use nfs_state::{LockRequest, Locker};
use nfs_wire::nfs4::{Lock4Args, Locker4, Stateid4};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Lock4Args) -> Result<Stateid4, NfsError> {
    let object = cx.object()?;
    object.check_regular()?;
    let client = cx.client()?;
    let locker = match &args.locker {
        Locker4::NewLockOwner(new) => {
            Locker::FromOpen { stateid: cx.stateid(new.open_stateid)?, owner: new.lock_owner.owner.as_slice() }
        }
        Locker4::ExistingLockOwner(known) => Locker::Known { stateid: cx.stateid(known.lock_stateid)? },
    };
    let request = LockRequest {
        file: object.node.fileid(),
        kind: args.locktype,
        offset: args.offset,
        length: args.length,
        reclaim: args.reclaim,
        locker,
    };
    // A sealed file system grants nothing new, but gives back what was held before a restart.
    if !args.reclaim {
        object.check_sealed()?;
    }
    let now = cx.shared.env.now();
    let served = &object.view.served;
    let (locked, effects) = served.holdings.with(|state, effects| state.lock(now, &client, &request, effects));
    if args.reclaim {
        cx.admitted.settle_sealed(served, effects).await?;
    } else {
        cx.admitted.settle(served, effects).await?;
    }
    let locked = locked?;
    cx.set_stateid(locked);
    Ok(locked)
}
