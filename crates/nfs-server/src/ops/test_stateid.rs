//! TEST_STATEID: are these stateids of the client's still good? RFC 8881 section 18.48.

use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{Stateid4, TestStateid4Args, TestStateid4Resok};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: TestStateid4Args) -> Result<TestStateid4Resok, NfsError> {
    let client = cx.client()?;
    let file_systems = cx.admitted.reached();
    let test = |stateid: &Stateid4| {
        let mut found = NfsStat4::BadStateid;
        for served in &file_systems {
            // Testing changes nothing, so there are no effects.
            let (status, _) = served.holdings.with(|state, _| state.test_stateid(&client, stateid));
            match status {
                NfsStat4::Ok => return status,
                // Not one of its own.
                NfsStat4::BadStateid => {}
                status => found = status,
            }
        }
        found
    };
    let statuses = args.stateids.iter().map(test).collect();
    TestStateid4Resok::new(statuses).map_err(|_| NfsStat4::Serverfault.into())
}
