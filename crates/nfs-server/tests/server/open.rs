//! OPEN between callers who do not trust each other: what exists is opened with the rights that its mode gives, whoever was
//! first.

use crate::harness::client::{Client, Connection, at, component, mode, sys};
use crate::harness::server::{FS, Rig};
use nfs_wire::nfs4::{
    Createhow4, Creatverfattr, Open4Args, OpenClaim4, Openflag4, Remove4Args, Setattr4Args, StableHow4, StateOwner4,
    Stateid4, share,
};
use nfs_wire::{ArgOp, Attribute, Bitmap4, Fattr4, NfsStat4, Opaque, ResOp};
use storage::StorageError;
use storage::faulty::ReadFault;

/// A client of this user.
async fn user(rig: &Rig, uid: u32, owner: &'static str) -> Client {
    let mut connection = Connection::clear(rig.address).await;
    connection.credential = sys(uid, uid);
    Client::mount(connection, owner).await
}

/// A directory of this mode, made by uid 0.
async fn directory(rig: &Rig, name: &str, bits: u32) {
    let mut root = user(rig, 0, "root").await;
    root.ok(vec![ArgOp::Putrootfh(()), crate::harness::client::mkdir(name)]).await;
    let set = Setattr4Args { stateid: Stateid4::ANONYMOUS, obj_attributes: mode(bits) };
    root.ok([at(name), vec![ArgOp::Setattr(set)]].concat()).await;
}

fn exclusive(verifier: [u8; 8], bits: u32) -> Openflag4 {
    Openflag4::Create(Createhow4::Exclusive41(Creatverfattr { verf: verifier, attrs: mode(bits) }))
}

/// RFC 8881 section 18.16.3: an exclusive create that finds its verifier is a retry of the maker's. To anybody else the file
/// is one that exists, and a guessed verifier gives no right to it.
#[tokio::test]
async fn a_guessed_verifier_opens_nothing() {
    let rig = Rig::start().await;
    directory(&rig, "shared", 0o777).await;
    let mut owner = user(&rig, 1000, "owner").await;
    let open = owner.open_op("secret", exclusive(*b"guessed!", 0o400));
    let made = owner.ok([at("/shared"), vec![open.clone()]].concat()).await;
    let Some(ResOp::Open(Ok(made))) = made.last() else { panic!("{made:?}") };
    assert_eq!(made.attrset, mode(0).attrmask);
    // The maker's own retry succeeds even though the mode would not let it write, and sets nothing.
    let again = owner.ok([at("/shared"), vec![open.clone()]].concat()).await;
    let Some(ResOp::Open(Ok(again))) = again.last() else { panic!("{again:?}") };
    assert_eq!(again.attrset, Bitmap4::EMPTY);
    let mut thief = user(&rig, 1001, "thief").await;
    assert_eq!(thief.status([at("/shared"), vec![open]].concat()).await, NfsStat4::Access);
}

/// RFC 8881 section 18.16.3: UNCHECKED opens what exists with the rights that its mode gives, also when it came into being while
/// the request was under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_appears_meanwhile_is_not_opened_without_its_permission() {
    let rig = Rig::start().await;
    directory(&rig, "shared", 0o755).await;
    let mut root = user(&rig, 0, "maker").await;
    let mut thief = user(&rig, 1001, "thief").await;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = std::sync::Arc::clone(&done);
    let spin = tokio::spawn(async move {
        let open = thief.open_op("secret", Openflag4::Create(Createhow4::Unchecked(mode(0o600))));
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let status = thief.status([at("/shared"), vec![open.clone()]].concat()).await;
            // Denied, or gone again before it was looked at; never opened.
            assert!(matches!(status, NfsStat4::Access | NfsStat4::Stale | NfsStat4::Delay), "{status:?}");
        }
    });
    for _ in 0..150 {
        let open = root.open_op("secret", Openflag4::Create(Createhow4::Guarded(mode(0o600))));
        let close = ArgOp::Close(nfs_wire::nfs4::Close4Args { seqid: 0, open_stateid: Stateid4::CURRENT });
        root.ok([at("/shared"), vec![open, close]].concat()).await;
        let remove = ArgOp::Remove(Remove4Args { target: component("secret") });
        root.ok([at("/shared"), vec![remove]].concat()).await;
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    spin.await.unwrap();
}

/// RFC 8881 section 18.16: an OPEN that fails leaves no open behind, since its client knows of none that it could close.
#[tokio::test]
async fn a_truncation_that_fails_leaves_no_open() {
    let rig = Rig::start().await;
    let mut client = user(&rig, 0, "truncates").await;
    let (handle, opened) = client.open("/", "file").await;
    client.write(&handle, opened.stateid, 0, &[7; 100_000], StableHow4::FileSync).await;
    client.close(&handle, opened.stateid).await;
    let rig = rig.crash().await;
    client.connection = Connection::clear(rig.address).await;
    client.renew_identity().await;
    client.reclaim_complete().await;
    client.lookup("/file").await;

    let size = Fattr4 { attrmask: Bitmap4::of(&[Attribute::Size]), attr_vals: Opaque::copied(&[0; 8]).unwrap() };
    let open = client.open_op("file", Openflag4::Create(Createhow4::Unchecked(size)));
    rig.exports.faults(FS).never_now(true);
    let broken = StorageError::Io { path: "a table".into(), cause: "EIO".into() };
    rig.exports.faults(FS).reads([ReadFault::Fail(broken)]);
    assert_eq!(client.status([at("/"), vec![open.clone()]].concat()).await, NfsStat4::Io);
    assert_eq!(rig.server.status().file_systems[0].opens, 0);
    client.ok([at("/"), vec![open]].concat()).await;
    assert_eq!(client.attribute::<u64>("/file", Attribute::Size).await, 0);
}

/// RFC 8881 sections 9.7 and 18.16.3: an OPEN that a share reservation forbids cuts nothing.
#[tokio::test]
async fn a_denied_open_does_not_truncate() {
    let rig = Rig::start().await;
    let mut one = user(&rig, 0, "one").await;
    let mut two = user(&rig, 0, "two").await;
    let (handle, opened) = one.open("/", "file").await;
    one.write(&handle, opened.stateid, 0, b"kept", StableHow4::FileSync).await;
    one.close(&handle, opened.stateid).await;
    let deny = ArgOp::Open(Open4Args {
        seqid: 0,
        share_access: share::ACCESS_READ,
        share_deny: share::DENY_BOTH,
        owner: StateOwner4 { clientid: 0, owner: Opaque::copied(b"open owner").unwrap() },
        openhow: Openflag4::Nocreate,
        claim: OpenClaim4::Null(component("file")),
    });
    one.ok([at("/"), vec![deny]].concat()).await;
    let size = Fattr4 { attrmask: Bitmap4::of(&[Attribute::Size]), attr_vals: Opaque::copied(&[0; 8]).unwrap() };
    let open = two.open_op("file", Openflag4::Create(Createhow4::Unchecked(size)));
    assert_eq!(two.status([at("/"), vec![open]].concat()).await, NfsStat4::ShareDenied);
    assert_eq!(two.attribute::<u64>("/file", Attribute::Size).await, 4);
}
