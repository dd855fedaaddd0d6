//! A sealed file system: every object is withheld, the mount and its state live on. Architecture section 5.

use std::time::Duration;

use crate::harness::client::{Client, Connection, at, getattr, lookup, mkdir, mode, putfh};
use crate::harness::server::{FS, Rig};
use filesystem::lease::{KeyTrouble, Which};
use nfs_wire::nfs4::{
    Close4Args, Compound4Args, Compound4Res, FreeStateid4Args, Open4Args, OpenClaim4, OpenDelegationType4, Openflag4,
    Read4Args, Setattr4Args, StableHow4, StateOwner4, Stateid4, TestStateid4Args, share,
};
use nfs_wire::rpc::ReplyHeader;
use nfs_wire::xdr::Decoder;
use nfs_wire::{ArgOp, Attribute, List, NfsStat4, Opaque, ResOp, Xdr as _};

async fn withhold(rig: &Rig, trouble: Option<KeyTrouble>) {
    let sealed = trouble.is_some();
    rig.exports.keys.withhold(trouble);
    let filesystem = rig.exports.filesystem(FS).await.unwrap();
    filesystem.key_notice();
    let mut lease = filesystem.lease_watch();
    let reached = |state: &filesystem::LeaseState| matches!(state, filesystem::LeaseState::Sealed { .. }) == sealed;
    tokio::time::timeout(Duration::from_secs(20), lease.wait_for(reached)).await.unwrap().unwrap();
}

/// Architecture section 5, "A seal": objects fail with an I/O error, sessions and state go on, and the same mount and the same open
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

fn reclaim() -> ArgOp {
    ArgOp::Open(Open4Args {
        seqid: 0,
        share_access: share::ACCESS_BOTH,
        share_deny: share::DENY_NONE,
        owner: StateOwner4 { clientid: 0, owner: Opaque::copied(b"open owner").unwrap() },
        openhow: Openflag4::Nocreate,
        claim: OpenClaim4::Previous(OpenDelegationType4::None),
    })
}

/// Architecture section 5: a restart while the key is disabled keeps open files, too: they are reclaimed from state alone, their
/// contents stay withheld, and the key's return opens them again.
#[tokio::test]
async fn opens_are_reclaimed_while_the_data_key_is_withheld() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "sealed restart").await;
    let (handle, opened) = client.open("/", "file").await;
    client.write(&handle, opened.stateid, 0, b"secret", StableHow4::FileSync).await;
    rig.disk.keys.withhold_one(Which::Data, KeyTrouble::Refused("disabled".into()));
    let rig = rig.crash().await;

    client.connection = Connection::clear(rig.address).await;
    assert_eq!(client.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Deadsession);
    client.renew_identity().await;
    let results = loop {
        let result = client.call(vec![putfh(&handle), reclaim()]).await;
        match result.status {
            // Grace begins when the records are read.
            NfsStat4::Delay => tokio::time::sleep(Duration::from_millis(50)).await,
            status => break (status, result.resarray),
        }
    };
    assert_eq!(results.0, NfsStat4::Ok, "{:?}", results.1);
    let Some(ResOp::Open(Ok(reclaimed))) = results.1.last() else { panic!("{results:?}") };
    let read = ArgOp::Read(Read4Args { stateid: reclaimed.stateid, offset: 0, count: 10 });
    assert_eq!(client.status(vec![putfh(&handle), read]).await, NfsStat4::Io);
    client.reclaim_complete().await;

    withhold(&rig, None).await;
    assert_eq!(client.read(&handle, reclaimed.stateid, 0, 10).await.0, "secret");
    client.close(&handle, reclaimed.stateid).await;
    client.open("/", "new").await;
}

/// Architecture section 5: while no key is at hand nobody knows who may reclaim, so clients are told to wait.
#[tokio::test]
async fn reclaims_wait_while_the_metadata_key_is_withheld() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "sealed restart").await;
    let (handle, _) = client.open("/", "file").await;
    rig.disk.keys.withhold(Some(KeyTrouble::Refused("disabled".into())));
    let rig = rig.crash().await;
    client.connection = Connection::clear(rig.address).await;
    client.renew_identity().await;
    assert_eq!(client.status(vec![putfh(&handle), reclaim()]).await, NfsStat4::Delay);
    withhold(&rig, None).await;
    let reclaimed = loop {
        match client.status(vec![putfh(&handle), reclaim()]).await {
            NfsStat4::Delay => tokio::time::sleep(Duration::from_millis(50)).await,
            status => break status,
        }
    };
    assert_eq!(reclaimed, NfsStat4::Ok);
}

/// Architecture section 5: SEQUENCE goes on under a seal. A retry whose stored reply cannot be opened now is told to wait, and gets it
/// when the key is back; any error that uses its number up would make the change run again.
#[tokio::test]
async fn a_retry_waits_for_its_sealed_reply() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "sealed retry").await;
    let make = vec![client.sequence(3, true), ArgOp::Putrootfh(()), mkdir("once")];
    let first = client.connection.compound(make.clone()).await;
    assert_eq!(first.status, NfsStat4::Ok);
    rig.disk.keys.withhold(Some(KeyTrouble::Refused("disabled".into())));
    let rig = rig.crash().await;
    client.connection = Connection::clear(rig.address).await;
    let waits = client.connection.compound(make.clone()).await;
    assert_eq!((waits.status, waits.resarray.len()), (NfsStat4::Delay, 1));
    withhold(&rig, None).await;
    assert_eq!(client.connection.compound(make).await, first);
}

/// Architecture section 5: data that was read before a seal and waits for something to become durable is not sent after it.
#[tokio::test]
async fn data_that_waits_is_withheld_by_a_seal() {
    let rig = Rig::start().await;
    let mut client = Client::mount(Connection::clear(rig.address).await, "reads").await;
    let mut other = Client::mount(Connection::clear(rig.address).await, "changes").await;
    let (handle, opened) = client.open("/", "file").await;
    client.write(&handle, opened.stateid, 0, b"secret", StableHow4::FileSync).await;
    let encode = |client: &mut Client, operations: Vec<ArgOp>| {
        let operations = [vec![client.sequence(1, false)], operations].concat();
        let args = Compound4Args::new(Opaque::default(), operations);
        client.connection.encode(100_003, 4, 1, |out| args.encode(out))
    };
    let faults = rig.exports.faults(FS);
    faults.hold_commits();
    let set = Setattr4Args { stateid: Stateid4::ANONYMOUS, obj_attributes: mode(0o640) };
    let change = encode(&mut other, vec![putfh(&handle), ArgOp::Setattr(set)]);
    other.connection.send(&change).await.unwrap();
    while faults.held() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let read = ArgOp::Read(Read4Args { stateid: opened.stateid, offset: 0, count: 10 });
    let read = encode(&mut client, vec![putfh(&handle), read, getattr(&[Attribute::Size])]);
    client.connection.send(&read).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    rig.exports.keys.withhold_one(Which::Data, KeyTrouble::Refused("disabled".into()));
    let filesystem = rig.exports.filesystem(FS).await.unwrap();
    filesystem.key_notice();
    let mut lease = filesystem.lease_watch();
    let sealed = lease.wait_for(|state| matches!(state, filesystem::LeaseState::Sealed { .. }));
    tokio::time::timeout(Duration::from_secs(20), sealed).await.unwrap().unwrap();
    faults.release();
    let reply = client.connection.receive().await.unwrap();
    assert!(!reply.windows(6).any(|bytes| bytes == b"secret"));
    let mut decoder = Decoder::new(reply);
    ReplyHeader::decode(&mut decoder).unwrap();
    let result = Compound4Res::decode(&mut decoder).unwrap();
    decoder.finish().unwrap();
    assert_eq!((result.status, result.resarray.len()), (NfsStat4::Delay, 3));
    assert!(matches!(result.resarray.last(), Some(ResOp::Read(Err(NfsStat4::Delay)))));
}
