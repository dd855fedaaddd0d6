//! A sealed file system: every object is withheld, the mount and its state live on. DESIGN section 5.

use std::time::Duration;

use crate::harness::client::{Client, Connection, at, getattr, lookup, mkdir, putfh};
use crate::harness::server::{FS, Rig};
use filesystem::lease::KeyTrouble;
use nfs_wire::nfs4::{Close4Args, FreeStateid4Args, Read4Args, StableHow4, TestStateid4Args};
use nfs_wire::{ArgOp, Attribute, List, NfsStat4};

async fn withhold(rig: &Rig, trouble: Option<KeyTrouble>) {
    let sealed = trouble.is_some();
    rig.exports.keys.withhold(trouble);
    let filesystem = rig.exports.filesystem(FS).await.unwrap();
    filesystem.key_notice();
    let mut lease = filesystem.lease_watch();
    let reached = |state: &filesystem::LeaseState| matches!(state, filesystem::LeaseState::Sealed { .. }) == sealed;
    tokio::time::timeout(Duration::from_secs(20), lease.wait_for(reached)).await.unwrap().unwrap();
}

/// DESIGN section 5, "A seal": objects fail with an I/O error, sessions and state go on, and the same mount and the same open
/// file serve again when the key is back.
#[tokio::test]
async fn a_seal_withholds_objects_and_keeps_the_mount() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "seal test").await;
    let (handle, opened) = client.open("/", "file").await;
    let (other, second) = client.open("/", "other").await;
    client.write(&handle, opened.stateid, 0, b"secret", StableHow4::FileSync).await;
    let root = client.lookup("/").await;
    withhold(&rig, Some(KeyTrouble::Refused("disabled".into()))).await;

    let read = ArgOp::Read(Read4Args { stateid: opened.stateid, offset: 0, count: 10 });
    for operations in [
        vec![putfh(&handle), read.clone()],
        vec![putfh(&handle), getattr(&[Attribute::Size])],
        vec![putfh(&root), lookup("file")],
        vec![putfh(&root), mkdir("d")],
    ] {
        assert_eq!(client.status(operations).await, NfsStat4::Io);
    }
    client.ok(at("/")).await;
    client.ok(vec![putfh(&handle), ArgOp::Savefh(()), ArgOp::Restorefh(())]).await;
    let stateids = List::new(vec![opened.stateid]).unwrap();
    client.ok(vec![ArgOp::TestStateid(TestStateid4Args { stateids })]).await;
    let free = ArgOp::FreeStateid(FreeStateid4Args { stateid: opened.stateid });
    assert_eq!(client.status(vec![free]).await, NfsStat4::LocksHeld);
    client.ok(vec![putfh(&other), ArgOp::Close(Close4Args { seqid: 0, open_stateid: second.stateid })]).await;

    withhold(&rig, None).await;
    assert_eq!(client.read(&handle, opened.stateid, 0, 10).await.0, "secret");
}
