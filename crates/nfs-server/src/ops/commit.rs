//! COMMIT: what was written UNSTABLE is durable when this is answered. RFC 8881 section 18.3.

use nfs_wire::nfs4::{Commit4Args, Verifier4};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Commit4Args) -> Result<Verifier4, NfsError> {
    let object = cx.object()?;
    Ok(object.view.served.filesystem.commit(&object.cx(), &object.node, args.offset, args.count).await?)
}
