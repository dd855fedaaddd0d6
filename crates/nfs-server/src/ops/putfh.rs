//! PUTFH: a filehandle of the client's becomes the current one. RFC 8881 section 18.19.

use nfs_wire::nfs4::Putfh4Args;

use crate::compound::{Compound, Place};
use crate::handle::{self, Handle};
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Putfh4Args) -> Result<(), NfsError> {
    let (view, inner) = match cx.admitted.direct().cloned() {
        Some(id) => (cx.admitted.view(&id).await?, args.object.as_slice()),
        None => match handle::decode(&args.object)? {
            Handle::PseudoRoot => {
                cx.set_current(Place::PseudoRoot);
                return Ok(());
            }
            Handle::Of(code, inner) => (cx.admitted.view_of_code(code).await?, inner),
        },
    };
    let node = view.served.filesystem.resolve(inner).await?;
    let object = cx.object_at(&view, node);
    cx.set_current(Place::Object(object));
    Ok(())
}
