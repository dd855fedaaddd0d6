//! BACKCHANNEL_CTL: new parameters for callbacks. None are ever made, so there is nothing to remember. RFC 8881 section 18.33.

use nfs_wire::nfs4::BackchannelCtl4Args;

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, _args: BackchannelCtl4Args) -> Result<(), NfsError> {
    cx.client().map(|_| ())
}
