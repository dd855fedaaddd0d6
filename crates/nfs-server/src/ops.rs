//! One file per operation. The table of `nfs-wire` says which there are; this expands it into the dispatch.

mod access;
mod backchannel_ctl;
mod bind_conn_to_session;
mod close;
mod commit;
mod create;
mod create_session;
mod delegreturn;
mod destroy_clientid;
mod destroy_session;
mod exchange_id;
mod free_stateid;
mod getattr;
mod getfh;
mod link;
mod lock;
mod lockt;
mod locku;
mod lookup;
mod lookupp;
mod nverify;
mod open;
mod open_downgrade;
mod putfh;
mod putpubfh;
mod putrootfh;
mod read;
mod readdir;
mod readlink;
mod reclaim_complete;
mod remove;
mod rename;
mod restorefh;
mod savefh;
mod secinfo;
mod secinfo_no_name;
pub(crate) mod sequence;
mod setattr;
mod test_stateid;
mod verify;
mod write;

use filesystem::{ChangeInfo, Name};
use nfs_wire::nfs4::{ChangeInfo4, Component4, Lock4Res, Lockt4Res, Setattr4Res, Stateid4};
use nfs_wire::{ArgOp, Bitmap4, NfsStat4, ResOp, Status};

use crate::compound::Compound;
use crate::status::NfsError;

/// An operation's outcome as the reply of its row.
trait Answer<R> {
    fn answer(self, cx: &mut Compound) -> R;
}

impl<T> Answer<Status<T>> for Result<T, NfsError> {
    fn answer(self, cx: &mut Compound) -> Status<T> {
        self.map_err(|error| cx.status_of(&error))
    }
}

impl Answer<Setattr4Res> for Result<Bitmap4, NfsError> {
    fn answer(self, cx: &mut Compound) -> Setattr4Res {
        match self {
            Ok(attrsset) => Setattr4Res { status: NfsStat4::Ok, attrsset },
            Err(error) => Setattr4Res { status: cx.status_of(&error), attrsset: Bitmap4::EMPTY },
        }
    }
}

impl Answer<Lock4Res> for Result<Stateid4, NfsError> {
    fn answer(self, cx: &mut Compound) -> Lock4Res {
        match self {
            Ok(stateid) => Lock4Res::Ok(stateid),
            Err(error) => match error.denied() {
                Some(denied) => Lock4Res::Denied(denied.clone()),
                None => Lock4Res::Failed(cx.status_of(&error)),
            },
        }
    }
}

impl Answer<Lockt4Res> for Result<(), NfsError> {
    fn answer(self, cx: &mut Compound) -> Lockt4Res {
        match self {
            Ok(()) => Lockt4Res::Ok,
            Err(error) => match error.denied() {
                Some(denied) => Lockt4Res::Denied(denied.clone()),
                None => Lockt4Res::Failed(cx.status_of(&error)),
            },
        }
    }
}

macro_rules! define_dispatch {
    ($($number:literal $name:ident $variant:ident $file:ident ($arguments:ty) -> $reply:ty, $($rule:ident)|+;)*) => {
        /// Runs one operation whose rules hold.
        pub(crate) async fn dispatch(cx: &mut Compound, operation: ArgOp) -> ResOp {
            match operation {
                $(ArgOp::$variant(arguments) => {
                    let outcome = $file::run(cx, arguments).await;
                    ResOp::$variant(outcome.answer(cx))
                })*
                ArgOp::Unsupported(_) => operation.failure(NfsStat4::Notsupp),
                ArgOp::Malformed(_) => operation.failure(NfsStat4::Badxdr),
                ArgOp::Illegal(_) => operation.failure(NfsStat4::OpIllegal),
            }
        }
    };
}

nfs_wire::operations!(define_dispatch);

/// A name as the file system takes it. An empty one is invalid rather than bad. RFC 8881 section 14.5.
fn name(component: &Component4) -> Result<Name<'_>, NfsError> {
    if component.is_empty() {
        return Err(NfsStat4::Inval.into());
    }
    Ok(Name::new(component.as_slice())?)
}

/// A directory's change as it goes over the wire.
fn change(info: ChangeInfo) -> ChangeInfo4 {
    ChangeInfo4 { atomic: info.atomic, before: info.before, after: info.after }
}
