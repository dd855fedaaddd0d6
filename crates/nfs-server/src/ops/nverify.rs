//! NVERIFY: goes on only if an attribute differs. RFC 8881 section 18.15.

use nfs_wire::NfsStat4;
use nfs_wire::nfs4::Nverify4Args;

use crate::compound::Compound;
use crate::ops::verify::equal;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Nverify4Args) -> Result<(), NfsError> {
    if equal(cx, &args.obj_attributes).await? { Err(NfsStat4::Same.into()) } else { Ok(()) }
}
