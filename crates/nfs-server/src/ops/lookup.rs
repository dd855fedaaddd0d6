//! LOOKUP: a child of the current directory becomes the current filehandle. RFC 8881 section 18.13.

use nfs_wire::NfsStat4;
use nfs_wire::nfs4::Lookup4Args;

use crate::compound::{Compound, Place};
use crate::exports::FileSystemId;
use crate::ops::name;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Lookup4Args) -> Result<(), NfsError> {
    let name = name(&args.objname)?;
    let found = match cx.place()? {
        Place::Object(object) => {
            // The file system checks search permission in the same step: whoever may not search must not learn which
            // names exist.
            let child = object.view.served.filesystem.lookup(&object.cx(), &object.node, &name).await?;
            object.at(child)
        }
        Place::PseudoRoot => {
            let id = std::str::from_utf8(name.bytes()).map(FileSystemId::new).map_err(|_| NfsStat4::Noent)?;
            if !cx.shared.exports.list(&cx.admitted.peer).await.contains(&id) {
                return Err(NfsStat4::Noent.into());
            }
            let view = cx.admitted.view(&id).await?;
            cx.root_of(&view).await?
        }
    };
    cx.set_current(Place::Object(found));
    Ok(())
}
