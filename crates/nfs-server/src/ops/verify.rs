//! VERIFY: goes on only if all attributes are as given. RFC 8881 section 18.31.

use nfs_wire::nfs4::Verify4Args;
use nfs_wire::{Fattr4, NfsStat4};

use crate::attributes;
use crate::compound::{Compound, Place};
use crate::pseudo_root;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Verify4Args) -> Result<(), NfsError> {
    if equal(cx, &args.obj_attributes).await? { Ok(()) } else { Err(NfsStat4::NotSame.into()) }
}

/// Whether the current object has exactly these attributes.
pub(super) async fn equal(cx: &Compound, wanted: &Fattr4) -> Result<bool, NfsError> {
    match cx.place()? {
        Place::PseudoRoot => Ok(pseudo_root::attributes(&cx.shared, |subject| attributes::equal(wanted, subject))?),
        Place::Object(object) => {
            let handle = cx.admitted.wire_handle(&object.view, &object.node)?;
            Ok(object.subject(&handle, |subject| attributes::equal(wanted, subject)).await??)
        }
    }
}
