//! LINK: another name for the saved object in the current directory. RFC 8881 section 18.9.

use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{ChangeInfo4, Link4Args};

use crate::compound::Compound;
use crate::ops::{change, name};
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Link4Args) -> Result<ChangeInfo4, NfsError> {
    let directory = cx.object_or(NfsStat4::Rofs)?;
    let source = cx.saved_object()?;
    if !directory.same_file_system(&source) {
        return Err(NfsStat4::Xdev.into());
    }
    let name = name(&args.newname)?;
    cx.hold_reply(&directory);
    let filesystem = &directory.view.served.filesystem;
    let linked = filesystem.link(&directory.cx_with(cx.hold()), &source.node, &directory.node, &name).await?;
    Ok(change(linked))
}
