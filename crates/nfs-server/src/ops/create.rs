//! CREATE: directories, symbolic links and special files; regular files come by OPEN. RFC 8881 section 18.4.

use filesystem::{Device, NewObject};
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{Create4Args, Create4Resok, Createtype4, Specdata4};

use crate::attributes;
use crate::compound::{Compound, Place};
use crate::ops::{change, name};
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Create4Args) -> Result<Create4Resok, NfsError> {
    let directory = cx.object_or(NfsStat4::Rofs)?;
    let what = new_object(args.objtype)?;
    let name = name(&args.objname)?;
    let (set, attrset) = attributes::settings(&args.createattrs)?;
    if set.size.is_some() {
        return Err(NfsStat4::Inval.into());
    }
    cx.hold_reply(&directory);
    let filesystem = &directory.view.served.filesystem;
    let created = filesystem.create_object(&directory.cx_with(cx.hold()), &directory.node, &name, what, &set).await?;
    cx.set_current(Place::Object(directory.at(created.node)));
    Ok(Create4Resok { cinfo: change(created.change), attrset })
}

fn new_object(kind: Createtype4) -> Result<NewObject, NfsError> {
    let device = |device: Specdata4| Device { major: device.specdata1, minor: device.specdata2 };
    Ok(match kind {
        Createtype4::Lnk(target) if target.is_empty() => return Err(NfsStat4::Inval.into()),
        // A slice of the request would keep the whole request in memory.
        Createtype4::Lnk(target) => NewObject::Symlink(target.detached().into_bytes()),
        Createtype4::Blk(numbers) => NewObject::Block(device(numbers)),
        Createtype4::Chr(numbers) => NewObject::Character(device(numbers)),
        Createtype4::Sock => NewObject::Socket,
        Createtype4::Fifo => NewObject::Fifo,
        Createtype4::Dir => NewObject::Directory,
        Createtype4::Reg | Createtype4::Attrdir | Createtype4::Namedattr => return Err(NfsStat4::Badtype.into()),
    })
}
