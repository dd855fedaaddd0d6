//! Who sees what: access points, squash, read-only, refusal, the pseudo-root, and virtual servers that never merge.

use crate::harness::client::{Client, Connection, at, component, getattr, lookup, mkdir, putfh};
use crate::harness::server::{Disk, FS, Rig, quick};
use nfs_server::Limits;
use nfs_server::exports::{
    AccessPointView, Admission, Creation, NotAuthorized, Permissions, PosixUser, Principal, Refused, Target,
};
use nfs_wire::nfs4::{
    Access4Args, BindConnToSession4Args, ChannelDirFromClient4, Fsid4, Readdir4Args, Remove4Args, Rename4Args,
    Setattr4Args, Stateid4, Utf8Mixed,
};
use nfs_wire::{ArgOp, Attribute, Bitmap4, Fattr4, NfsStat4, ResOp};
use std::time::Duration;

async fn client(rig: &Rig, owner: &'static str) -> Client {
    Client::mount(Connection::clear(rig.address).await, owner).await
}

fn through(rig: &Rig, point: Option<AccessPointView>, target: Target) {
    let admission = Admission { target, access_point: point, principal: Principal::Anonymous };
    *rig.exports.admission.lock() = Ok(admission);
}

fn file_system() -> Target {
    Target::FileSystem(nfs_server::exports::FileSystemId::new(FS))
}

fn point(path: &str, creation: Option<Creation>) -> AccessPointView {
    let posix_user = Some(PosixUser { uid: 501, gid: 502, groups: vec![503] });
    AccessPointView { id: "fsap-0123456789abcdef0".into(), path: path.into(), posix_user, creation }
}

/// EFS access points: the root directory is made as told at the first mount, and the POSIX user replaces the caller's.
#[tokio::test]
async fn an_access_point_has_its_root_and_its_identity() {
    let rig = Rig::start().await;
    let mut whole = client(&rig, "whole").await;
    through(&rig, Some(point("/apps/web", Some(Creation { uid: 501, gid: 502, mode: 0o750 }))), file_system());
    let mut client = client(&rig, "point").await;
    let (_, _) = client.open("/", "file").await;
    let owner: Utf8Mixed = client.attribute("/file", Attribute::Owner).await;
    assert_eq!(&owner[..], b"501");
    assert_eq!(client.status(vec![ArgOp::Putrootfh(()), ArgOp::Lookupp(())]).await, NfsStat4::Noent);
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("d"), ArgOp::Lookupp(()), lookup("file")]).await;
    let mode: u32 = whole.attribute("/apps/web", Attribute::Mode).await;
    let group: Utf8Mixed = whole.attribute("/apps/web/file", Attribute::OwnerGroup).await;
    assert_eq!((mode, &group[..]), (0o750, &b"502"[..]));
    assert_ne!(client.server_owner, whole.server_owner);
}

/// EFS access points: without creation info a missing root directory is a mount that fails.
#[tokio::test]
async fn an_access_point_without_its_root_is_denied() {
    let rig = Rig::start().await;
    through(&rig, Some(point("/missing", None)), file_system());
    let mut client = client(&rig, "point").await;
    assert_eq!(client.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Access);
}

/// EFS client authorization: without ClientRootAccess uid 0 is nobody, without ClientWrite the file system is read-only.
#[tokio::test]
async fn root_is_squashed_and_writing_is_refused_by_policy() {
    let rig = Rig::start().await;
    let mut root = client(&rig, "root").await;
    root.ok(vec![ArgOp::Putrootfh(()), mkdir("open")]).await;
    let everybody = Setattr4Args { stateid: Stateid4::ANONYMOUS, obj_attributes: crate::harness::client::mode(0o777) };
    root.ok([at("/open"), vec![ArgOp::Setattr(everybody)]].concat()).await;

    *rig.exports.permissions.lock() = Ok(Permissions { write: true, root: false });
    let mut squashed = client(&rig, "squashed").await;
    assert_eq!(squashed.status(vec![ArgOp::Putrootfh(()), mkdir("d")]).await, NfsStat4::Access);
    squashed.open("/open", "file").await;
    let owner: Utf8Mixed = squashed.attribute("/open/file", Attribute::Owner).await;
    assert_eq!(&owner[..], b"65534");

    *rig.exports.permissions.lock() = Ok(Permissions { write: false, root: true });
    let mut reader = client(&rig, "reader").await;
    assert_eq!(reader.status(vec![ArgOp::Putrootfh(()), mkdir("d")]).await, NfsStat4::Rofs);
    let remove = ArgOp::Remove(Remove4Args { target: component("open") });
    assert_eq!(reader.status(vec![ArgOp::Putrootfh(()), remove]).await, NfsStat4::Rofs);
    let results = reader.ok([at("/open"), vec![ArgOp::Access(Access4Args { access: 0x1f })]].concat()).await;
    let Some(ResOp::Access(Ok(given))) = results.last() else { panic!("{results:?}") };
    assert_eq!(given.access, 0x03);
}

/// Architecture section 2.4: denial is NFS4ERR_ACCESS after the handshake, and ends when the policy does.
#[tokio::test]
async fn a_refused_caller_gets_access_denied() {
    let rig = Rig::start().await;
    *rig.exports.permissions.lock() = Err(Refused("no".into()).into());
    let mut connection = Connection::clear(rig.address).await;
    assert_eq!(connection.compound(vec![ArgOp::Putrootfh(())]).await.status, NfsStat4::Access);
    *rig.exports.permissions.lock() = Ok(Permissions { write: true, root: true });
    *rig.exports.admission.lock() = Err(Refused("no".into()));
    assert_eq!(connection.compound(vec![ArgOp::Putrootfh(())]).await.status, NfsStat4::Access);
    through(&rig, None, file_system());
    Client::mount(connection, "later").await;
}

/// Architecture section 2.5: a session works only on connections of its own virtual server.
#[tokio::test]
async fn a_session_is_unknown_to_another_virtual_server() {
    let rig = Rig::start().await;
    let mut clear = client(&rig, "same owner").await;
    let connection = Connection::tls(rig.address, &rig.root, None).await.unwrap();
    let mut secure = Client::mount(connection, "same owner").await;
    assert_ne!(clear.server_owner, secure.server_owner);
    let bind = |sessid| {
        let dir = ChannelDirFromClient4::Fore;
        ArgOp::BindConnToSession(BindConnToSession4Args { sessid, dir, use_conn_in_rdma_mode: false })
    };
    assert_eq!(clear.connection.compound(vec![bind(secure.session)]).await.status, NfsStat4::Badsession);
    assert_eq!(secure.connection.compound(vec![bind(clear.session)]).await.status, NfsStat4::Badsession);
    std::mem::swap(&mut clear.session, &mut secure.session);
    assert_eq!(clear.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Badsession);
    clear.slots[0] -= 1;
    // Both see the same files all the same.
    std::mem::swap(&mut clear.session, &mut secure.session);
    secure.ok(vec![ArgOp::Putrootfh(()), mkdir("shared")]).await;
    clear.lookup("/shared").await;
    assert_eq!(rig.server.status().clients.len(), 2);
}

/// Architecture section 2.3: the pseudo-root shows each file system as a directory of its own fsid, and nothing can be made there.
#[tokio::test]
async fn the_pseudo_root_leads_to_every_file_system() {
    const OTHER: &str = "fs-fedcba98765432100";
    let rig = Rig::start().await;
    rig.exports.filesystem(OTHER).await.unwrap();
    through(&rig, None, Target::PseudoRoot);
    let mut client = client(&rig, "pseudo").await;
    let readdir = ArgOp::Readdir(Readdir4Args {
        cookie: 0,
        cookieverf: [0; 8],
        dircount: 0,
        maxcount: 4096,
        attr_request: Bitmap4::of(&[Attribute::Fsid, Attribute::MountedOnFileid]),
    });
    let results = client.ok(vec![ArgOp::Putrootfh(()), readdir]).await;
    let Some(ResOp::Readdir(Ok(page))) = results.last() else { panic!("{results:?}") };
    let names: Vec<_> = page.reply.entries.iter().map(|entry| entry.name.to_vec()).collect();
    assert_eq!(names, [FS.as_bytes(), OTHER.as_bytes()]);

    let pseudo: Fsid4 = client.attribute("/", Attribute::Fsid).await;
    let one: Fsid4 = client.attribute(FS, Attribute::Fsid).await;
    let two: Fsid4 = client.attribute(OTHER, Attribute::Fsid).await;
    assert!(pseudo != one && one != two && pseudo != two);
    client.open(FS, "file").await;
    assert_eq!(client.status(at(&format!("{OTHER}/file"))).await, NfsStat4::Noent);
    let handle = client.lookup(&format!("{FS}/file")).await;
    client.ok(vec![putfh(&handle), getattr(&[Attribute::Size])]).await;
    client.ok([at(FS), vec![ArgOp::Lookupp(()), lookup(OTHER)]].concat()).await;
    assert_eq!(client.status(vec![ArgOp::Putrootfh(()), mkdir("d")]).await, NfsStat4::Rofs);
    assert_eq!(client.status(at("fs-absent")).await, NfsStat4::Noent);
    let across = [at(&format!("{FS}/file")), vec![ArgOp::Savefh(())], at(OTHER)].concat();
    let link = ArgOp::Link(nfs_wire::nfs4::Link4Args { newname: component("l") });
    assert_eq!(client.status([across, vec![link]].concat()).await, NfsStat4::Xdev);
}

/// EFS: NFS identities are numbers; AUTH_NONE is nobody; names as owners are refused.
#[tokio::test]
async fn identities_are_numbers() {
    let rig = Rig::start().await;
    let mut root = client(&rig, "root").await;
    root.open("/", "file").await;
    let mut connection = Connection::clear(rig.address).await;
    connection.credential = nfs_wire::rpc::Credential::None;
    let mut nobody = Client::mount(connection, "nobody").await;
    assert_eq!(nobody.status(vec![ArgOp::Putrootfh(()), mkdir("d")]).await, NfsStat4::Access);
    let mut values = nfs_wire::Encoder::new();
    values.opaque(b"root@localdomain");
    let named = Fattr4 {
        attrmask: Bitmap4::of(&[Attribute::Owner]),
        attr_vals: nfs_wire::Opaque::new(values.into_bytes()).unwrap(),
    };
    let set = ArgOp::Setattr(Setattr4Args { stateid: Stateid4::ANONYMOUS, obj_attributes: named });
    assert_eq!(root.status([at("/file"), vec![set]].concat()).await, NfsStat4::Badowner);
}

/// Architecture section 2.5: file systems behind one pseudo-root do not depend on each other. When one fails, who uses another
/// keeps its connection, its session and what it holds there, and finds the first one opened again.
#[tokio::test]
async fn a_failed_file_system_leaves_the_others_alone() {
    const OTHER: &str = "fs-0fedcba9876543210";
    let rig = Rig::start().await;
    rig.exports.filesystem(OTHER).await.unwrap();
    through(&rig, None, Target::PseudoRoot);
    let mut client = client(&rig, "two").await;
    for id in [FS, OTHER] {
        client.lookup(id).await;
    }
    // Opened by that, they read their recovery records.
    while rig.server.status().file_systems.iter().any(|found| found.grace != nfs_server::GraceStatus::Over) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (handle, opened) = client.open(OTHER, "file").await;
    client.open(FS, "file").await;
    rig.exports.faults(FS).commits([storage::faulty::CommitFault::CutBefore]);
    let filesystem = rig.exports.filesystem(OTHER).await.unwrap();
    let failing = [at(FS), vec![mkdir("d")]].concat();
    let sequence = client.sequence(3, true);
    let record = {
        let args =
            nfs_wire::nfs4::Compound4Args::new(nfs_wire::Opaque::default(), [vec![sequence], failing.clone()].concat());
        client.connection.encode(100_003, 4, 1, |out| args.encode(out))
    };
    client.connection.send(&record).await.unwrap();
    assert!(client.connection.receive().await.is_err());
    client.connection = Connection::clear(rig.address).await;
    client.write(&handle, opened.stateid, 0, b"held", nfs_wire::nfs4::StableHow4::FileSync).await;
    assert!(!*filesystem.failed().borrow());
    assert_eq!(rig.server.status().clients.len(), 1);
    // The failure is told to whoever attends to it; until he has heard, requests there get no answer.
    while rig.server.status().file_systems.iter().any(|found| found.id.as_str() == FS) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    client.ok(failing).await;
}

/// Architecture section 2.5: clients of one file system neither wait for nor learn of the trouble of another when an expired client
/// gives way.
#[tokio::test]
async fn an_expired_client_gives_way_whatever_ails_another_file_system() {
    const OTHER: &str = "fs-0fedcba9876543210";
    let rig = Rig::start().await;
    let mut holder = client(&rig, "holder").await;
    let deny = |client: &Client, share_deny| {
        let open = client
            .open_op("file", nfs_wire::nfs4::Openflag4::Create(nfs_wire::nfs4::Createhow4::Unchecked(Fattr4::empty())));
        let ArgOp::Open(mut open) = open else { panic!() };
        open.share_deny = share_deny;
        [at("/"), vec![ArgOp::Open(open)]].concat()
    };
    holder.ok(deny(&holder, 3)).await;
    through(&rig, None, Target::FileSystem(nfs_server::exports::FileSystemId::new(OTHER)));
    let mut bystander = client(&rig, "bystander").await;
    bystander.open("/", "file").await;
    through(&rig, None, file_system());
    let mut wants = client(&rig, "wants").await;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        wants.ok(vec![ArgOp::Putrootfh(())]).await;
        bystander.ok(vec![ArgOp::Putrootfh(())]).await;
    }
    let hit = rig.exports.filesystem(OTHER).await.unwrap();
    rig.exports.faults(OTHER).cut();
    let operations = deny(&wants, 0);
    wants.ok(operations).await;
    assert!(!rig.server.status().clients.iter().any(|client| client.owner == "holder"));
    drop(hit);
}

/// Architecture section 3, "Operations and the committer": the pseudo-root shows nothing of a file system that a crash could take back.
#[tokio::test]
async fn the_pseudo_root_waits_for_what_it_shows() {
    let rig = Rig::start().await;
    let mut maker = client(&rig, "maker").await;
    // The first change reserves numbers in a commit of its own.
    maker.ok(vec![ArgOp::Putrootfh(()), mkdir("before")]).await;
    through(&rig, None, Target::PseudoRoot);
    let mut client = client(&rig, "reader").await;
    client.lookup(FS).await;
    let read = ArgOp::Readdir(Readdir4Args {
        cookie: 0,
        cookieverf: [0; 8],
        dircount: 0,
        maxcount: 4096,
        attr_request: Bitmap4::of(&[Attribute::Numlinks]),
    });
    let faults = rig.exports.faults(FS);
    faults.hold_commits();
    let make = {
        let operations = vec![maker.sequence(1, false), ArgOp::Putrootfh(()), mkdir("d")];
        let args = nfs_wire::nfs4::Compound4Args::new(nfs_wire::Opaque::default(), operations);
        maker.connection.encode(100_003, 4, 1, |out| args.encode(out))
    };
    maker.connection.send(&make).await.unwrap();
    while faults.held() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let listing = client.call(vec![ArgOp::Putrootfh(()), read]);
    let mut listing = std::pin::pin!(listing);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut listing).await.is_err());
    faults.release();
    assert_eq!(listing.await.status, NfsStat4::Ok);
}

/// Architecture section 2.4: the policies are asked again while a connection is used, and what they say then counts: for what may be
/// written, and for whether anything may be done at all. The session outlives a denial.
#[tokio::test]
async fn the_policies_are_asked_again() {
    let every = Duration::from_millis(300);
    let limits = Limits { authorize_every: every, ..quick() };
    let rig = Rig::start_on(Disk::default(), limits, "127.0.0.1:0").await;
    let whole = Permissions { write: true, root: true };
    let mut client = client(&rig, "again").await;
    for name in ["a", "b", "c"] {
        client.ok(vec![ArgOp::Putrootfh(()), mkdir(name)]).await;
    }
    assert_eq!(rig.exports.asked.lock()[..], [None], "one question for many requests");
    tokio::time::sleep(every).await;
    client.lookup("/a").await;
    assert_eq!(rig.exports.asked.lock()[..], [None, Some(whole)], "the same answer again is no news");

    *rig.exports.permissions.lock() = Ok(Permissions { write: false, root: true });
    tokio::time::sleep(every).await;
    assert_eq!(client.status(vec![ArgOp::Putrootfh(()), mkdir("d")]).await, NfsStat4::Rofs);
    *rig.exports.permissions.lock() = Err(Refused("no".into()).into());
    tokio::time::sleep(every).await;
    assert_eq!(client.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Access);
    client.slots[0] -= 1;
    *rig.exports.permissions.lock() = Ok(whole);
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("d")]).await;
}

/// Architecture section 2.4: a notice of changed policies counts at once.
#[tokio::test]
async fn a_notice_makes_the_policies_be_asked_at_once() {
    let rig = Rig::start().await;
    let mut client = client(&rig, "notice").await;
    *rig.exports.permissions.lock() = Err(Refused("no".into()).into());
    client.ok(vec![ArgOp::Putrootfh(())]).await;
    rig.server.policies_changed();
    assert_eq!(client.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Access);
}

/// EFS API, DeleteAccessPoint: clients that are connected go on, new ones are refused; and so it is when a client's certificate runs
/// out while it is connected.
#[tokio::test]
async fn a_deleted_access_point_lets_nobody_else_in() {
    let rig = Rig::start().await;
    through(&rig, Some(point("/apps/web", Some(Creation { uid: 0, gid: 0, mode: 0o777 }))), file_system());
    let mut client = client(&rig, "through").await;
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("a")]).await;
    *rig.exports.admission.lock() = Err(Refused("fsap-1 does not exist".into()));
    rig.server.policies_changed();
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("b")]).await;
    let mut late = Connection::clear(rig.address).await;
    assert_eq!(late.compound(vec![ArgOp::Putrootfh(())]).await.status, NfsStat4::Access);
}

/// Architecture section 2.4: a refused connection that goes on asking is not asked for each time, since each costs a line in the log
/// and a record in the audit log. What cannot be said now is a matter of waiting.
#[tokio::test]
async fn refusals_hold_for_a_while() {
    let rig = Rig::start().await;
    *rig.exports.permissions.lock() = Err(Refused("no".into()).into());
    let started = std::time::Instant::now();
    let mut connection = Connection::clear(rig.address).await;
    for _ in 0..200 {
        assert_eq!(connection.compound(vec![ArgOp::Putrootfh(())]).await.status, NfsStat4::Access);
    }
    let bound = 5 + started.elapsed().as_secs() as usize;
    assert!(rig.exports.asked.lock().len() <= bound, "{} of {bound}", rig.exports.asked.lock().len());
    *rig.exports.permissions.lock() = Err(NotAuthorized::Later("the audit log is full".into()));
    let mut connection = Connection::clear(rig.address).await;
    assert_eq!(connection.compound(vec![ArgOp::Putrootfh(())]).await.status, NfsStat4::Delay);
}

/// EFS access points: nothing above the root directory is seen, also when it was removed and made again and another connection is
/// the first to learn of it.
#[tokio::test]
async fn a_root_that_was_made_again_is_the_root() {
    let rig = Rig::start().await;
    let mut whole = client(&rig, "whole").await;
    let creation = Some(Creation { uid: 0, gid: 0, mode: 0o755 });
    through(&rig, Some(AccessPointView { posix_user: None, ..point("/apps/web", creation) }), file_system());
    let mut one = client(&rig, "one").await;
    one.ok(vec![ArgOp::Putrootfh(())]).await;
    let remove = ArgOp::Remove(Remove4Args { target: component("web") });
    whole.ok([at("/apps"), vec![remove.clone(), mkdir("web")]].concat()).await;
    let mut two = client(&rig, "two").await;
    let again = two.lookup("/").await;
    assert_eq!(one.status(vec![putfh(&again), ArgOp::Lookupp(())]).await, NfsStat4::Noent);
    let mut inside = client(&rig, "inside").await;
    let child = inside.ok(vec![ArgOp::Putrootfh(()), mkdir("d"), ArgOp::Getfh(())]).await;
    let Some(ResOp::Getfh(Ok(child))) = child.last() else { panic!("{child:?}") };
    // The whole tree is moved away: what is above it is nothing that may be seen through the access point.
    let rename = ArgOp::Rename(Rename4Args { oldname: component("web"), newname: component("moved") });
    whole.ok([at("/apps"), vec![ArgOp::Savefh(())], at("/"), vec![rename]].concat()).await;
    let mut late = Connection::clear(rig.address).await;
    std::mem::swap(&mut late, &mut one.connection);
    one.ok(vec![putfh(child)]).await;
    assert_eq!(one.status(vec![putfh(&again), ArgOp::Lookupp(())]).await, NfsStat4::Access);
}
