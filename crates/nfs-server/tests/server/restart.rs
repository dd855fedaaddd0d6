//! A crash of the server and what its clients notice of it: retries get their replies, sessions are dead, state is reclaimed.

use crate::harness::client::{Client, Connection, at, component, getattr, mkdir, ok, putfh};
use crate::harness::server::{Disk, FS, Rig};
use nfs_server::Limits;
use nfs_wire::nfs4::{
    Commit4Args, Compound4Args, Open4Args, OpenClaim4, OpenDelegationType4, Openflag4, Remove4Args, StableHow4,
    StateOwner4, share,
};
use nfs_wire::{ArgOp, Attribute, NfsStat4, Opaque, ResOp};
use std::time::Duration;

async fn client(rig: &Rig) -> Client {
    Client::mount(Connection::clear(rig.address).await, "restart test").await
}

fn open(claim: OpenClaim4) -> ArgOp {
    ArgOp::Open(Open4Args {
        seqid: 0,
        share_access: share::ACCESS_BOTH,
        share_deny: share::DENY_NONE,
        owner: StateOwner4 { clientid: 0, owner: Opaque::copied(b"open owner").unwrap() },
        openhow: Openflag4::Nocreate,
        claim,
    })
}

/// Architecture section 3, "Durable replies": a retry after a crash gets its stored reply, all else on the old session is dead.
#[tokio::test]
async fn a_retry_after_a_crash_gets_its_stored_reply() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let sequence = client.sequence(3, true);
    let make = vec![sequence, ArgOp::Putrootfh(()), mkdir("once"), ArgOp::Getfh(()), getattr(&[Attribute::Fileid])];
    let first = ok(client.connection.compound(make.clone()).await);

    let rig = rig.crash().await;
    client.connection = Connection::clear(rig.address).await;
    let again = client.connection.compound(make.clone()).await;
    assert_eq!(again.resarray, first, "no NFS4ERR_EXIST for what was done");
    // A request that was never sent before finds the session dead.
    assert_eq!(client.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Deadsession);
    client.renew_identity().await;
    assert_eq!(client.status(vec![ArgOp::Putrootfh(()), mkdir("once")]).await, NfsStat4::Exist);
}

/// Architecture section 3, "Durable replies": a client that held nothing is not waited for in grace, and still gets its reply when
/// it comes back later than the others. After that time the replies go.
#[tokio::test]
async fn stored_replies_wait_for_clients_that_held_nothing() {
    let limits = Limits { lease_seconds: 1, replies_kept_min: Duration::from_secs(4), ..Limits::default() };
    let rig = Rig::start_on(Disk::default(), limits, "127.0.0.1:0").await;
    let mut clients = Vec::new();
    for (owner, name) in [("first", "a"), ("second", "b"), ("third", "c")] {
        let mut client = Client::mount(Connection::clear(rig.address).await, owner).await;
        let make = vec![client.sequence(3, true), ArgOp::Putrootfh(()), mkdir(name)];
        let reply = ok(client.connection.compound(make.clone()).await);
        clients.push((client, make, reply));
    }
    let rig = rig.crash().await;
    for (waits, (mut client, make, reply)) in [0, 2, 4].into_iter().zip(clients) {
        tokio::time::sleep(Duration::from_secs(waits)).await;
        client.connection = Connection::clear(rig.address).await;
        let again = client.connection.compound(make).await;
        if waits < 4 {
            assert_eq!(again.resarray, reply);
        } else {
            assert_eq!(again.status, NfsStat4::Deadsession);
        }
    }
}

/// Architecture section 3, "Durable replies": an exclusive OPEN that was answered to nobody is not a spurious EEXIST, and the file that
/// it opened is reclaimed like any other.
#[tokio::test]
async fn a_retried_open_is_answered_and_reclaimed() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let guarded = Openflag4::Create(nfs_wire::nfs4::Createhow4::Guarded(crate::harness::client::mode(0o600)));
    let make =
        [vec![client.sequence(2, true)], at("/"), vec![client.open_op("new", guarded), ArgOp::Getfh(())]].concat();
    let first = ok(client.connection.compound(make.clone()).await);
    let rig = rig.crash().await;
    client.connection = Connection::clear(rig.address).await;
    assert_eq!(client.connection.compound(make).await.resarray, first);
    let Some(ResOp::Getfh(Ok(handle))) = first.last() else { panic!("{first:?}") };
    client.renew_identity().await;
    client.ok(vec![putfh(handle), open(OpenClaim4::Previous(OpenDelegationType4::None))]).await;
    client.reclaim_complete().await;
}

/// Architecture section 3, "Durable replies": they are found through the pseudo-root, too, where nobody has opened the file system yet.
#[tokio::test]
async fn a_retry_through_the_pseudo_root_gets_its_stored_reply() {
    use nfs_server::exports::{Admission, Principal, Target};
    let pseudo = |rig: &Rig| {
        let admission = Admission { target: Target::PseudoRoot, access_point: None, principal: Principal::Anonymous };
        *rig.exports.admission.lock() = Ok(admission);
    };
    let rig = Rig::start().await;
    pseudo(&rig);
    let mut client = client(&rig).await;
    let root = client.lookup(FS).await;
    let make = vec![client.sequence(3, true), putfh(&root), mkdir("once")];
    let first = ok(client.connection.compound(make.clone()).await);
    let rig = rig.crash().await;
    pseudo(&rig);
    client.connection = Connection::clear(rig.address).await;
    assert_eq!(client.connection.compound(make).await.resarray, first);
}

/// Architecture section 3, "Operations and the committer": when a commit fails nobody is answered, neither the request nor a retry of
/// it that waits on another connection.
#[tokio::test]
async fn a_retry_is_not_told_what_was_lost() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    client.lookup("/").await;
    let make = vec![client.sequence(3, true), ArgOp::Putrootfh(()), mkdir("lost"), getattr(&[Attribute::Fileid])];
    let record =
        client.connection.encode(100_003, 4, 1, |out| Compound4Args::new(Opaque::default(), make.clone()).encode(out));
    let faults = rig.exports.faults(FS);
    faults.hold_commits();
    client.connection.send(&record).await.unwrap();
    while faults.held() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut others = Vec::new();
    for _ in 0..16 {
        let mut other = Connection::clear(rig.address).await;
        other.send(&record).await.unwrap();
        others.push(other);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    faults.cut();
    assert!(client.connection.receive().await.is_err());
    for other in &mut others {
        assert!(other.receive().await.is_err());
    }
    client.connection = Connection::clear(rig.address).await;
    assert_eq!(client.connection.compound(make).await.status, NfsStat4::Deadsession);
    client.renew_identity().await;
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("lost")]).await;
}

/// Architecture section 3: what failed is not stored, and what changed nothing runs again in a new session.
#[tokio::test]
async fn a_failed_change_has_no_stored_reply() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let sequence = client.sequence(0, true);
    let missing = ArgOp::Remove(Remove4Args { target: component("missing") });
    let remove = vec![sequence, ArgOp::Putrootfh(()), missing];
    assert_eq!(client.connection.compound(remove.clone()).await.status, NfsStat4::Noent);
    let rig = rig.crash().await;
    client.connection = Connection::clear(rig.address).await;
    assert_eq!(client.connection.compound(remove).await.status, NfsStat4::Deadsession);
}

/// RFC 8881 section 8.4.2: after a restart opens are reclaimed within grace, others wait for its end, and nobody reclaims what
/// was not theirs.
#[tokio::test]
async fn opens_are_reclaimed_in_grace() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let (handle, opened) = client.open("/", "file").await;
    client.write(&handle, opened.stateid, 0, b"durable", StableHow4::FileSync).await;

    let rig = rig.crash().await;
    let mut stranger = Client::identify(Connection::clear(rig.address).await, "stranger", *b"stranger").await;
    let reclaim = open(OpenClaim4::Previous(OpenDelegationType4::None));
    let reclaim_it = vec![putfh(&handle), reclaim];
    assert_eq!(stranger.status(reclaim_it.clone()).await, NfsStat4::ReclaimBad);
    stranger.reclaim_complete().await;
    let plain = [at("/"), vec![open(OpenClaim4::Null(component("file")))]].concat();
    assert_eq!(stranger.status(plain.clone()).await, NfsStat4::Grace);

    client.connection = Connection::clear(rig.address).await;
    assert_eq!(client.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Deadsession);
    client.renew_identity().await;
    let results = client.ok(reclaim_it.clone()).await;
    let Some(ResOp::Open(Ok(reclaimed))) = results.last() else { panic!("{results:?}") };
    assert_eq!(client.read(&handle, reclaimed.stateid, 0, 100).await.0, "durable");
    client.reclaim_complete().await;
    // All who were known have come back: grace is over for everybody.
    stranger.ok(plain).await;
    assert_eq!(client.status(reclaim_it).await, NfsStat4::NoGrace);
}

/// RFC 8881 section 8.4.2.1: grace ends by itself when a client stays away.
#[tokio::test]
async fn grace_ends_without_a_client_that_stays_away() {
    let rig = Rig::start().await;
    let mut gone = client(&rig).await;
    gone.open("/", "file").await;
    let rig = rig.crash().await;
    let mut other = Client::mount(Connection::clear(rig.address).await, "other").await;
    let plain = [at("/"), vec![open(OpenClaim4::Null(component("file")))]].concat();
    assert_eq!(other.status(plain.clone()).await, NfsStat4::Grace);
    for _ in 0..35 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        other.ok(vec![ArgOp::Putrootfh(())]).await;
    }
    other.ok(plain).await;
}

/// RFC 8881 section 18.32.3: UNSTABLE data may be lost in a crash, and then the write verifier says so.
#[tokio::test]
async fn the_write_verifier_tells_of_a_crash() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let (handle, opened) = client.open("/", "file").await;
    client.write(&handle, opened.stateid, 0, b"maybe", StableHow4::Unstable).await;
    let commit = vec![putfh(&handle), ArgOp::Commit(Commit4Args { offset: 0, count: 0 })];
    let verifier = |results: Vec<ResOp>| match results.last() {
        Some(ResOp::Commit(Ok(verifier))) => *verifier,
        other => panic!("{other:?}"),
    };
    let before = verifier(client.ok(commit.clone()).await);
    assert_eq!(verifier(client.ok(commit.clone()).await), before);
    let rig = rig.crash().await;
    client.connection = Connection::clear(rig.address).await;
    client.renew_identity().await;
    assert_ne!(verifier(client.ok(commit).await), before);
}

/// Architecture section 2.5: a virtual server is the same after a restart, so a client finds its server again.
#[tokio::test]
async fn the_server_owner_survives_a_restart() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let before = client.server_owner.clone();
    let rig = rig.crash().await;
    client.connection = Connection::clear(rig.address).await;
    client.renew_identity().await;
    assert_eq!(client.server_owner, before);
}

/// A stop lets a client go in order, and loses nothing.
#[tokio::test]
async fn a_stop_ends_connections() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("kept")]).await;
    rig.server.stop().await;
    let record = client.connection.encode(100_003, 4, 0, |_| {});
    assert!(client.connection.send(&record).await.is_err() || client.connection.receive().await.is_err());
    let rig = rig.crash().await;
    let mut again = Client::mount(Connection::clear(rig.address).await, "again").await;
    again.lookup("/kept").await;
}

/// Architecture section 3, "Recovery records": a damaged record costs its client what it held; the others reclaim and the file
/// system serves.
#[tokio::test]
async fn a_damaged_recovery_record_stops_nobody() {
    let rig = Rig::start().await;
    let mut client = client(&rig).await;
    let (handle, _) = client.open("/", "file").await;
    let filesystem = rig.exports.filesystem(FS).await.unwrap();
    filesystem.put_record(1, b"no client", &[7; 100]).await.unwrap();
    filesystem.put_record(1, b"", b"").await.unwrap();
    rig.disk.damage_shortest_record(FS, b"P\x01").await;
    let rig = rig.crash().await;
    let mut other = Client::mount(Connection::clear(rig.address).await, "other").await;
    client.connection = Connection::clear(rig.address).await;
    client.renew_identity().await;
    client.ok(vec![putfh(&handle), open(OpenClaim4::Previous(OpenDelegationType4::None))]).await;
    client.reclaim_complete().await;
    assert_eq!(rig.server.status().file_systems[0].damaged_records, 2);
    other.open("/", "new").await;
}
