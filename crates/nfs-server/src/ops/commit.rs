//! COMMIT: what was written UNSTABLE is durable when this is answered. RFC 8881 section 18.3.

use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{Commit4Args, Verifier4};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Commit4Args) -> Result<Verifier4, NfsError> {
    let object = cx.object()?;
    // RFC 8881 §18.3.3: a range beyond what an offset can say makes no sense.
    if args.offset.checked_add(u64::from(args.count)).is_none() {
        return Err(NfsStat4::Inval.into());
    }
    Ok(object.view.served.filesystem.commit(&object.cx(), &object.node, args.offset, args.count).await?)
}
