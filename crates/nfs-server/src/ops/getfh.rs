//! GETFH: the current filehandle. RFC 8881 section 18.8.

use nfs_wire::nfs4::NfsFh4;

use crate::compound::{Compound, Place};
use crate::handle;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, (): ()) -> Result<NfsFh4, NfsError> {
    match cx.place()? {
        Place::PseudoRoot => Ok(handle::pseudo_root()),
        Place::Object(object) => cx.admitted.wire_handle(&object.view, &object.node),
    }
}
