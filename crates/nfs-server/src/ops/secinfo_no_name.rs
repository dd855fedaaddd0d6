//! SECINFO_NO_NAME: the security flavors for the current filehandle or its parent. RFC 8881 section 18.45.

use nfs_wire::nfs4::{Secinfo4Resok, SecinfoNoName4Args, SecinfoStyle4};

use crate::compound::Compound;
use crate::ops::{lookupp, secinfo};
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: SecinfoNoName4Args) -> Result<Secinfo4Resok, NfsError> {
    match args.style {
        SecinfoStyle4::CurrentFh => cx.place().map(|_| ())?,
        SecinfoStyle4::Parent => lookupp::run(cx, ()).await?,
    }
    Ok(secinfo::flavors())
}
