//! DELEGRETURN: no delegation is ever given, so no stateid is one. RFC 8881 section 18.6.

use nfs_wire::NfsStat4;
use nfs_wire::nfs4::Delegreturn4Args;

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Delegreturn4Args) -> Result<(), NfsError> {
    cx.stateid(args.deleg_stateid)?;
    Err(NfsStat4::BadStateid.into())
}
