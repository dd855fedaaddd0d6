//! EXCHANGE_ID: a client says who it is and learns which server this is. RFC 8881 section 18.35.

use nfs_state::Dropped;
use nfs_wire::nfs4::{ExchangeId4Args, ExchangeId4Resok};

use crate::admission::principal;
use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: ExchangeId4Args) -> Result<ExchangeId4Resok, NfsError> {
    let now = cx.shared.env.now();
    let mut dropped = Dropped::default();
    let known = cx.admitted.server.state.lock().exchange_id(now, &args, principal(&cx.credential), &mut dropped);
    cx.admitted.settle_dropped(dropped).await?;
    Ok(known?)
}
