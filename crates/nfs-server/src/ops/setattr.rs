//! SETATTR: attributes of the current object are changed, all or none. RFC 8881 section 18.30.

use filesystem::Kind;
use nfs_state::IoAccess;
use nfs_wire::nfs4::{Setattr4Args, Stateid4};
use nfs_wire::{Bitmap4, NfsStat4};

use crate::attributes;
use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Setattr4Args) -> Result<Bitmap4, NfsError> {
    let object = cx.object_or(NfsStat4::Rofs)?;
    let (set, attrsset) = attributes::settings(&args.obj_attributes)?;
    let mut by_open = false;
    if set.size.is_some() {
        match object.node.kind() {
            Kind::Regular => {}
            Kind::Directory => return Err(NfsStat4::Isdir.into()),
            _ => return Err(NfsStat4::Inval.into()),
        }
        let stateid = cx.stateid(args.stateid)?;
        by_open = stateid != Stateid4::ANONYMOUS && stateid != Stateid4::READ_BYPASS;
        cx.check_state(&object, &stateid, IoAccess::Write).await?;
    }
    if set.is_empty() {
        return Ok(attrsset);
    }
    cx.hold_reply(&object);
    let filesystem = &object.view.served.filesystem;
    filesystem.set_attributes(&object.cx_with(cx.hold()), &object.node, &set, by_open).await?;
    Ok(attrsset)
}
