//! OPEN: a regular file is opened, made if asked for. RFC 8881 section 18.16. No delegation is ever given.

use filesystem::{AccessMask, CreateHow, FsError, Name, Node, SetAttributes};
use nfs_state::{Effects, OpenRequest, Share, StateError};
use nfs_wire::nfs4::{
    ChangeInfo4, Component4, Createhow4, Open4Args, Open4Resok, OpenClaim4, OpenDelegationType4, Openflag4, Stateid4,
    result_flags, share,
};
use nfs_wire::{Attribute, Bitmap4, Fattr4, NfsStat4};

use crate::attributes;
use crate::compound::{Compound, Place};
use crate::ops::{change, name};
use crate::status::NfsError;
use crate::view::Object;

pub(crate) async fn run(cx: &mut Compound, args: Open4Args) -> Result<Open4Resok, NfsError> {
    let (share, want) = Share::of_open(args.share_access, args.share_deny)?;
    let place = cx.object_or(NfsStat4::Isdir)?;
    if place.view.read_only() && share.access & share::ACCESS_WRITE != 0 {
        return Err(NfsStat4::Rofs.into());
    }
    let reclaim = matches!(args.claim, OpenClaim4::Previous(_));
    admit(cx, &place, reclaim).await?;
    let opening = Opening { owner: args.owner.owner.as_slice(), share, reclaim };
    let opened = match (&args.claim, &args.openhow) {
        (OpenClaim4::Null(component), Openflag4::Nocreate) => existing_name(cx, &place, component, &opening).await?,
        (OpenClaim4::Null(component), Openflag4::Create(how)) => create(cx, &place, component, how, &opening).await?,
        (OpenClaim4::Fh, Openflag4::Nocreate) => {
            let access = access_of(share);
            place.view.served.filesystem.check_open(&place.cx(), &place.node, access).await?;
            let stateid = open_state(cx, &place, &opening).await?;
            Opened { object: place, stateid, cinfo: UNCHANGED, attrset: Bitmap4::EMPTY }
        }
        (OpenClaim4::Previous(OpenDelegationType4::None), Openflag4::Nocreate) => {
            let stateid = open_state(cx, &place, &opening).await?;
            Opened { object: place, stateid, cinfo: UNCHANGED, attrset: Bitmap4::EMPTY }
        }
        // Nobody ever had a delegation to reclaim.
        (OpenClaim4::Previous(_), Openflag4::Nocreate) => return Err(StateError::ReclaimBad.into()),
        (OpenClaim4::Fh | OpenClaim4::Previous(_), Openflag4::Create(_)) => return Err(NfsStat4::Inval.into()),
        (OpenClaim4::DelegateCur(_) | OpenClaim4::DelegCurFh(_), _) => return Err(StateError::BadStateid.into()),
        (OpenClaim4::DelegatePrev(_) | OpenClaim4::DelegPrevFh, _) => return Err(StateError::NoDelegations.into()),
    };
    cx.set_current(Place::Object(opened.object));
    cx.set_stateid(opened.stateid);
    Ok(Open4Resok {
        stateid: opened.stateid,
        cinfo: opened.cinfo,
        rflags: result_flags::LOCKTYPE_POSIX | result_flags::PRESERVE_UNLINKED,
        attrset: opened.attrset,
        delegation: want.refusal(),
    })
}

/// Where no directory was concerned.
const UNCHANGED: ChangeInfo4 = ChangeInfo4 { atomic: false, before: 0, after: 0 };

/// Who opens, and for what.
struct Opening<'a> {
    owner: &'a [u8],
    share: Share,
    reclaim: bool,
}

struct Opened {
    object: Object,
    stateid: Stateid4,
    cinfo: ChangeInfo4,
    attrset: Bitmap4,
}

fn access_of(share: Share) -> AccessMask {
    let read = if share.access & share::ACCESS_READ != 0 { AccessMask::READ } else { AccessMask(0) };
    let write = if share.access & share::ACCESS_WRITE != 0 { AccessMask::MODIFY } else { AccessMask(0) };
    read.or(write)
}

/// Grace, and the client's quota, before anything is looked up or made.
async fn admit(cx: &Compound, place: &Object, reclaim: bool) -> Result<(), NfsError> {
    let client = cx.client()?;
    let now = cx.shared.env.now();
    let served = &place.view.served;
    let (admitted, effects) = served.holdings.with(|state, effects| state.admit_open(now, &client, reclaim, effects));
    settle(cx, place, reclaim, effects).await?;
    Ok(admitted?)
}

/// The open itself, which share reservations may forbid.
async fn open_state(cx: &Compound, object: &Object, opening: &Opening<'_>) -> Result<Stateid4, NfsError> {
    object.check_regular()?;
    let client = cx.client()?;
    let now = cx.shared.env.now();
    let file = object.node.fileid();
    let request = OpenRequest { file, owner: opening.owner, share: opening.share, reclaim: opening.reclaim };
    let served = &object.view.served;
    let hold = served.filesystem.hold_open(&object.node);
    let (opened, effects) =
        served.holdings.open(hold, file, |state, effects| state.open(now, &client, &request, effects));
    settle(cx, object, opening.reclaim, effects).await?;
    Ok(opened?)
}

/// Whether share reservations would forbid the open.
fn check_share(cx: &Compound, object: &Object, opening: &Opening<'_>) -> Result<(), NfsError> {
    object.check_regular()?;
    let (now, file) = (cx.shared.env.now(), object.node.fileid());
    // Asking changes nothing, so there are no effects.
    let (checked, _) = object.view.served.holdings.with(|state, _| state.check_share(now, file, opening.share));
    Ok(checked?)
}

/// A sealed file system opens nothing, but gives back what was open before a restart: no object is touched for that.
async fn settle(cx: &Compound, object: &Object, reclaim: bool, effects: Effects) -> Result<(), NfsError> {
    if reclaim {
        cx.admitted.settle_sealed(&object.view.served, effects).await
    } else {
        cx.admitted.settle(&object.view.served, effects).await
    }
}

async fn existing_name(
    cx: &Compound,
    directory: &Object,
    component: &Component4,
    opening: &Opening<'_>,
) -> Result<Opened, NfsError> {
    let name = name(component)?;
    let filesystem = &directory.view.served.filesystem;
    let node = filesystem.lookup(&directory.cx(), &directory.node, &name).await?;
    let object = directory.at(node);
    filesystem.check_open(&object.cx(), &object.node, access_of(opening.share)).await?;
    let stateid = open_state(cx, &object, opening).await?;
    let cinfo = unchanged(directory).await?;
    Ok(Opened { object, stateid, cinfo, attrset: Bitmap4::EMPTY })
}

/// A directory in which nothing was made.
async fn unchanged(directory: &Object) -> Result<ChangeInfo4, NfsError> {
    let filesystem = &directory.view.served.filesystem;
    let change = filesystem.attributes(&directory.cx(), &directory.node).await?.change;
    Ok(ChangeInfo4 { atomic: false, before: change, after: change })
}

/// How often an UNCHECKED create looks again when others make and remove the name meanwhile.
const RACES_MAX: usize = 8;

async fn create(
    cx: &mut Compound,
    directory: &Object,
    component: &Component4,
    how: &Createhow4,
    opening: &Opening<'_>,
) -> Result<Opened, NfsError> {
    let name = name(component)?;
    match how {
        Createhow4::Unchecked(wanted) => unchecked(cx, directory, &name, wanted, opening).await,
        Createhow4::Guarded(wanted) => {
            let (set, mask) = attributes::settings(wanted)?;
            make(cx, directory, &name, (CreateHow::Guarded(set), mask), opening).await
        }
        Createhow4::Exclusive(verifier) => {
            let attributes = SetAttributes::default();
            let how = CreateHow::Exclusive { verifier: *verifier, attributes };
            make(cx, directory, &name, (how, Bitmap4::EMPTY), opening).await
        }
        Createhow4::Exclusive41(both) => {
            let (attributes, mask) = attributes::settings(&both.attrs)?;
            make(cx, directory, &name, (CreateHow::Exclusive { verifier: both.verf, attributes }, mask), opening).await
        }
    }
}

/// Opens what there is, or makes it. A file that somebody else makes in between is opened like any other that exists: making
/// is tried GUARDED, so that nothing is opened whose permissions were not asked.
async fn unchecked(
    cx: &mut Compound,
    directory: &Object,
    name: &Name<'_>,
    wanted: &Fattr4,
    opening: &Opening<'_>,
) -> Result<Opened, NfsError> {
    let (set, mask) = attributes::settings(wanted)?;
    for _ in 0..RACES_MAX {
        if let Some(opened) = reopen(cx, directory, name, &set, opening).await? {
            return Ok(opened);
        }
        match make(cx, directory, name, (CreateHow::Guarded(set.clone()), mask), opening).await {
            Err(NfsError::Fs(FsError::Exists)) => {}
            done => return done,
        }
    }
    Err(FsError::Delay.into())
}

/// Makes the file and opens it.
async fn make(
    cx: &mut Compound,
    directory: &Object,
    name: &Name<'_>,
    (how, mask): (CreateHow, Bitmap4),
    opening: &Opening<'_>,
) -> Result<Opened, NfsError> {
    if directory.view.read_only() {
        return Err(NfsStat4::Rofs.into());
    }
    cx.hold_reply(directory);
    let filesystem = &directory.view.served.filesystem;
    let made = filesystem.open_create(&directory.cx_with(cx.hold()), &directory.node, name, how).await?;
    let object = directory.at(made.node);
    // Whoever makes a file may open it, whatever its mode says; a verifier that matches proves nothing, so what was there
    // before is opened by its owner or with the rights that its mode gives.
    let attrset = if made.created {
        mask
    } else {
        check_found(&object, access_of(opening.share)).await?;
        Bitmap4::EMPTY
    };
    let stateid = open_state(cx, &object, opening).await?;
    Ok(Opened { object, stateid, cinfo: change(made.change), attrset })
}

/// Whether an exclusive create that found its verifier may open the file.
async fn check_found(object: &Object, access: AccessMask) -> Result<(), NfsError> {
    let filesystem = &object.view.served.filesystem;
    if filesystem.attributes(&object.cx(), &object.node).await?.uid == object.seen.credentials.uid {
        return Ok(());
    }
    Ok(filesystem.check_open(&object.cx(), &object.node, access).await?)
}

/// UNCHECKED on a name that exists: an open that may truncate, and only when nothing stands against the open.
async fn reopen(
    cx: &mut Compound,
    directory: &Object,
    name: &Name<'_>,
    set: &SetAttributes,
    opening: &Opening<'_>,
) -> Result<Option<Opened>, NfsError> {
    let filesystem = &directory.view.served.filesystem;
    let node: Node = match filesystem.lookup(&directory.cx(), &directory.node, name).await {
        Ok(node) => node,
        Err(FsError::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let object = directory.at(node);
    // RFC 8881 §18.16.3: of the attributes only a size of 0 counts when the file exists.
    let truncate = set.size == Some(0);
    let mut access = access_of(opening.share);
    if truncate {
        access = access.or(AccessMask::MODIFY);
    }
    filesystem.check_open(&object.cx(), &object.node, access).await?;
    let mut attrset = Bitmap4::EMPTY;
    if truncate {
        // Cut only what may be opened, and open only what was cut: a client that gets an error knows of no open to close.
        check_share(cx, &object, opening)?;
        cx.hold_reply(&object);
        let size = SetAttributes { size: Some(0), ..SetAttributes::default() };
        filesystem.set_attributes(&object.cx_with(cx.hold()), &object.node, &size, true).await?;
        attrset.insert(Attribute::Size);
    }
    let stateid = open_state(cx, &object, opening).await?;
    let cinfo = unchanged(directory).await?;
    Ok(Some(Opened { object, stateid, cinfo, attrset }))
}
