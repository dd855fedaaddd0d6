//! RECLAIM_COMPLETE: the client has reclaimed all it will. RFC 8881 section 18.51.

use nfs_wire::nfs4::ReclaimComplete4Args;

use crate::compound::{Compound, Place};
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: ReclaimComplete4Args) -> Result<(), NfsError> {
    let client = cx.client()?;
    let file_systems = if args.one_fs {
        match cx.place()? {
            Place::Object(object) => vec![object.view.look()],
            Place::PseudoRoot => Vec::new(),
        }
    } else {
        cx.admitted.reached()
    };
    cx.admitted.server.state.lock().reclaim_complete(&client, args.one_fs)?;
    let now = cx.shared.env.now();
    for served in file_systems {
        let ((), effects) = served.holdings.with(|state, effects| state.reclaim_complete(now, &client, effects));
        cx.admitted.settle_sealed(&served, effects).await?;
    }
    Ok(())
}
