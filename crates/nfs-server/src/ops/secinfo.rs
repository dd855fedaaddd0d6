//! SECINFO: the security flavors for a name. There is one policy for all: AUTH_SYS, and AUTH_NONE as nobody. RFC 8881
//! section 18.29.

use nfs_wire::nfs4::{Secinfo4, Secinfo4Args, Secinfo4Resok};

use crate::compound::Compound;
use crate::ops::lookup;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Secinfo4Args) -> Result<Secinfo4Resok, NfsError> {
    // The filehandle is consumed in any case, so the lookup may as well move it.
    lookup::run(cx, nfs_wire::nfs4::Lookup4Args { objname: args.name }).await?;
    Ok(flavors())
}

/// The flavors, the preferred one first.
pub(super) fn flavors() -> Secinfo4Resok {
    Secinfo4Resok::new(vec![Secinfo4::Sys, Secinfo4::None]).unwrap_or_default()
}
