//! FREE_STATEID: a lock stateid without locks is given back. RFC 8881 section 18.38.

use nfs_wire::nfs4::FreeStateid4Args;

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: FreeStateid4Args) -> Result<(), NfsError> {
    let client = cx.client()?;
    let stateid = cx.stateid(args.stateid)?;
    let mut refused = nfs_state::StateError::BadStateid;
    for served in cx.admitted.reached() {
        let (freed, effects) = served.holdings.with(|state, _| state.free_stateid(&client, &stateid));
        cx.admitted.settle_sealed(&served, effects).await?;
        match freed {
            Ok(()) => return Ok(()),
            Err(error) if error != nfs_state::StateError::BadStateid => refused = error,
            Err(_) => {}
        }
    }
    Err(refused.into())
}
