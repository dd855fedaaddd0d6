//! OPEN between callers who do not trust each other: what exists is opened with the rights that its mode gives, whoever was
//! first.

use crate::harness::client::{Client, Connection, at, component, mode, sys};
use crate::harness::server::Rig;
use nfs_wire::nfs4::{Createhow4, Creatverfattr, Openflag4, Remove4Args, Setattr4Args, Stateid4};
use nfs_wire::{ArgOp, Bitmap4, NfsStat4, ResOp};

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
