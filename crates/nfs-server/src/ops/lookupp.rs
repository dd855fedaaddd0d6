//! LOOKUPP: the parent of the current directory. Above a view's root there is nothing, or the pseudo-root. RFC 8881
//! section 18.14.

use filesystem::Kind;
use nfs_wire::NfsStat4;

use crate::compound::{Compound, Place};
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, (): ()) -> Result<(), NfsError> {
    let object = cx.object_or(NfsStat4::Noent)?;
    if object.node.kind() != Kind::Directory {
        let symlink = object.node.kind() == Kind::Symlink;
        return Err(if symlink { NfsStat4::Symlink } else { NfsStat4::Notdir }.into());
    }
    if object.view.is_root(&object.node, &object.seen.watermark).await? {
        if object.view.mounted_on.is_none() {
            return Err(NfsStat4::Noent.into());
        }
        cx.set_current(Place::PseudoRoot);
        return Ok(());
    }
    let parent = object.view.served.filesystem.lookup_parent(&object.cx(), &object.node).await?;
    cx.set_current(Place::Object(object.at(parent)));
    Ok(())
}
