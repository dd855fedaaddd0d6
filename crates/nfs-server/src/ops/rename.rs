//! RENAME: from the saved directory to the current one. RFC 8881 section 18.26.

use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{Rename4Args, Rename4Resok};

use crate::compound::Compound;
use crate::ops::{change, name};
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Rename4Args) -> Result<Rename4Resok, NfsError> {
    let target = cx.object_or(NfsStat4::Rofs)?;
    let source = cx.saved_object()?;
    if !target.same_file_system(&source) {
        return Err(NfsStat4::Xdev.into());
    }
    let (old, new) = (name(&args.oldname)?, name(&args.newname)?);
    cx.hold_reply(&target);
    let filesystem = &target.view.served.filesystem;
    let renamed = filesystem.rename(&target.cx_with(cx.hold()), &source.node, &old, &target.node, &new).await?;
    Ok(Rename4Resok { source_cinfo: change(renamed.from), target_cinfo: change(renamed.to) })
}
