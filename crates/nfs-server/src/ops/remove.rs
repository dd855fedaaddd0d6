//! REMOVE: a name goes, and with the last one the object. RFC 8881 section 18.25.

use filesystem::RemoveWhat;
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{ChangeInfo4, Remove4Args};

use crate::compound::Compound;
use crate::ops::{change, name};
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Remove4Args) -> Result<ChangeInfo4, NfsError> {
    let directory = cx.object_or(NfsStat4::Rofs)?;
    let name = name(&args.target)?;
    cx.hold_reply(&directory);
    let filesystem = &directory.view.served.filesystem;
    let removed = filesystem.remove(&directory.cx_with(cx.hold()), &directory.node, &name, RemoveWhat::Any).await?;
    Ok(change(removed.change))
}
