//! GETATTR: attributes of the current object. RFC 8881 section 18.7.

use nfs_wire::Fattr4;
use nfs_wire::nfs4::Getattr4Args;

use crate::attributes;
use crate::compound::{Compound, Place};
use crate::pseudo_root;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Getattr4Args) -> Result<Fattr4, NfsError> {
    attributes::check_readable(&args.attr_request)?;
    match cx.place()? {
        Place::PseudoRoot => {
            Ok(pseudo_root::attributes(&cx.shared, |subject| attributes::read(&args.attr_request, subject)))
        }
        Place::Object(object) => {
            let handle = cx.admitted.wire_handle(&object.view, &object.node)?;
            object.subject(&handle, |subject| attributes::read(&args.attr_request, subject)).await
        }
    }
}
