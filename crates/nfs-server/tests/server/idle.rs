//! Closing what nobody uses: when it is done and when not, what a client finds that comes back, and whoever comes in the midst of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nfs_server::Limits;
use nfs_server::exports::{Admission, Principal, Target};
use nfs_wire::nfs4::{OpenClaim4, OpenDelegationType4, Openflag4, Remove4Args, StableHow4, StateOwner4, share};
use nfs_wire::{ArgOp, NfsStat4, Opaque, ResOp};

use crate::harness::client::{Client, Connection, component, mkdir, putfh};
use crate::harness::server::{Disk, FS, Rig};

const IDLE: Duration = Duration::from_millis(300);

fn limits() -> Limits {
    Limits { lease_seconds: 1, idle_close: IDLE, ..Limits::default() }
}

async fn rig() -> Rig {
    Rig::start_on(Disk::default(), limits(), "127.0.0.1:0").await
}

async fn mount(rig: &Rig, owner: &'static str) -> Client {
    Client::mount(Connection::clear(rig.address).await, owner).await
}

fn is_open(rig: &Rig) -> bool {
    !rig.server.status().file_systems.is_empty()
}

/// So many closings have come to the place.
fn closings(rig: &Rig, place: usize) -> usize {
    rig.exports.closings[place].load(Ordering::SeqCst)
}

async fn until(what: impl Fn() -> bool) {
    let waited = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
}

/// Closed, and nobody has it in memory any more.
async fn until_closed(rig: &Rig) {
    until(|| !is_open(rig) && rig.exports.in_memory() == (0, 0, 0)).await;
}

fn reclaim() -> ArgOp {
    ArgOp::Open(nfs_wire::nfs4::Open4Args {
        seqid: 0,
        share_access: share::ACCESS_BOTH,
        share_deny: share::DENY_NONE,
        owner: StateOwner4 { clientid: 0, owner: Opaque::copied(b"open owner").unwrap() },
        openhow: Openflag4::Nocreate,
        claim: OpenClaim4::Previous(OpenDelegationType4::None),
    })
}

/// Architecture section 4, "A shard is opened": what nobody uses is closed and leaves memory, and the next who comes opens it and
/// finds everything there, without a grace period to wait for.
#[tokio::test]
async fn what_nobody_uses_is_closed_and_opened_again() {
    let rig = rig().await;
    for round in 0..2 {
        let mut client = mount(&rig, "guest").await;
        let (handle, opened) = client.open("/", "file").await;
        if round > 0 {
            assert_eq!(client.read(&handle, opened.stateid, 0, 100).await.0, "kept");
        }
        // Unstable the first time: the closing has something to wait for.
        let stable = if round == 0 { StableHow4::Unstable } else { StableHow4::FileSync };
        client.write(&handle, opened.stateid, 0, b"kept", stable).await;
        client.close(&handle, opened.stateid).await;
        client.unmount().await;
        assert_eq!(closings(&rig, 0), round);
        until_closed(&rig).await;
        assert_eq!(closings(&rig, 0), round + 1);
        assert!(rig.server.status().clients.is_empty());
    }
}

/// Architecture section 4, "A shard is opened": a connection is a use, whether anything comes on it or not.
#[tokio::test]
async fn a_silent_connection_keeps_it_open() {
    let limits = Limits { lease_seconds: 2, ..limits() };
    let rig = Rig::start_on(Disk::default(), limits, "127.0.0.1:0").await;
    let mut client = mount(&rig, "guest").await;
    // Beyond the lease and the time without a use; the client is forgotten after two leases.
    tokio::time::sleep(Duration::from_millis(2800)).await;
    assert_eq!(closings(&rig, 0), 0);
    client.ok(vec![ArgOp::Putrootfh(()), mkdir("still here")]).await;
    drop(client);
    until_closed(&rig).await;
}

/// Architecture section 4, "A shard is opened": nothing is closed under a client whose lease runs, though its connection is gone.
#[tokio::test]
async fn a_running_lease_keeps_it_open() {
    let limits = Limits { lease_seconds: 3, ..limits() };
    let rig = Rig::start_on(Disk::default(), limits, "127.0.0.1:0").await;
    let mut client = mount(&rig, "guest").await;
    let (handle, opened) = client.open("/", "file").await;
    client.connection = Connection::clear(rig.address).await;
    client.ok(vec![ArgOp::Putrootfh(())]).await;
    // The connection goes, the client stays: as when a network is away for a while.
    let gone = std::mem::replace(&mut client.connection, Connection::clear(rig.address).await);
    drop(gone);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(closings(&rig, 0), 0);
    client.write(&handle, opened.stateid, 0, b"the same session", StableHow4::FileSync).await;
}

/// Architecture section 3, "Recovery records": a client that was silent for long finds its session dead and reclaims what it had
/// open, a file without a name too; it does not hold the file system open meanwhile.
#[tokio::test]
async fn a_client_that_was_silent_for_long_reclaims() {
    let rig = rig().await;
    let mut client = mount(&rig, "sleeper").await;
    let (kept, opened) = client.open("/", "kept").await;
    client.write(&kept, opened.stateid, 0, b"kept", StableHow4::FileSync).await;
    let (nameless, opened) = client.open("/", "nameless").await;
    client.write(&nameless, opened.stateid, 0, b"nameless", StableHow4::FileSync).await;
    client.ok(vec![ArgOp::Putrootfh(()), ArgOp::Remove(Remove4Args { target: component("nameless") })]).await;
    let Client { connection, owner, session, clientid, slots, .. } = client;
    drop(connection);
    until_closed(&rig).await;

    let connection = Connection::clear(rig.address).await;
    let mut client = Client { connection, owner, session, clientid, slots, ..mount(&rig, "another").await };
    assert_eq!(client.status(vec![ArgOp::Putrootfh(())]).await, NfsStat4::Deadsession);
    client.renew_identity().await;
    for (handle, content) in [(&kept, "kept"), (&nameless, "nameless")] {
        let results = client.ok(vec![putfh(handle), reclaim()]).await;
        let Some(ResOp::Open(Ok(reclaimed))) = results.last() else { panic!("{results:?}") };
        assert_eq!(client.read(handle, reclaimed.stateid, 0, 100).await.0, content);
    }
    client.reclaim_complete().await;
}

/// Architecture section 4, "A shard is opened": whoever comes at any moment of a closing waits, and is served by the next opening: no
/// connection is cut, and no request fails or is lost.
#[tokio::test]
async fn whoever_comes_during_a_closing_is_served_by_the_next_opening() {
    for place in [0, 1] {
        let rig = rig().await;
        mount(&rig, "first").await.unmount().await;
        let held = rig.exports.closing[place].lock().await;
        until(|| closings(&rig, place) == 1).await;
        let address = rig.address;
        let late: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|owner| {
                tokio::spawn(async move {
                    let mut client = Client::mount(Connection::clear(address).await, owner).await;
                    client.ok(vec![ArgOp::Putrootfh(()), mkdir(owner)]).await;
                    client
                })
            })
            .collect();
        // One that gives up waiting leaves nothing behind.
        let short = tokio::time::timeout(Duration::from_millis(50), mount(&rig, "short")).await;
        assert!(short.is_err(), "served by what is being closed");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(late.iter().all(|client| !client.is_finished()));
        drop(held);
        for client in late {
            let mut client = client.await.unwrap();
            client.ok(vec![ArgOp::Putrootfh(()), mkdir(&format!("{} once more", client.owner))]).await;
        }
        assert_eq!(closings(&rig, 1), 1);
    }
}

/// The same at moments that nobody chose: clients come and go all the time, and whatever is idle is closed at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_and_go_notice_nothing_of_closings() {
    let limits = Limits { idle_close: Duration::ZERO, ..limits() };
    let rig = Arc::new(Rig::start_on(Disk::default(), limits, "127.0.0.1:0").await);
    let mut guests = Vec::new();
    for (nth, owner) in ["a", "b", "c"].into_iter().enumerate() {
        let rig = Arc::clone(&rig);
        guests.push(tokio::spawn(async move {
            for round in 0..25 {
                let mut client = mount(&rig, owner).await;
                client.ok(vec![ArgOp::Putrootfh(()), mkdir(&format!("{owner} {round}"))]).await;
                client.unmount().await;
                tokio::time::sleep(Duration::from_millis(17 * (nth as u64 + 3) + round)).await;
            }
        }));
    }
    for guest in guests {
        guest.await.unwrap();
    }
    assert!(closings(&rig, 0) > 3, "{} closings", closings(&rig, 0));
    let mut last = mount(&rig, "last").await;
    for owner in ["a", "b", "c"] {
        last.lookup(&format!("/{owner} 24")).await;
    }
}

/// Architecture section 3: while grace runs others wait for who may come back, so it runs to its end.
#[tokio::test]
async fn grace_ends_before_a_closing() {
    let rig = rig().await;
    let mut client = mount(&rig, "holder").await;
    client.open("/", "file").await;
    let rig = rig.crash().await;
    // Opens it, and stays no longer than that.
    mount(&rig, "passer-by").await.unmount().await;
    tokio::time::sleep(IDLE * 2).await;
    assert!(is_open(&rig) && closings(&rig, 0) == 0);
    until_closed(&rig).await;
}

/// A client of the pseudo-root keeps open what it holds something on: of its one lease nothing can be forgotten for one file system
/// alone. When it is gone this is closed, too.
#[tokio::test]
async fn a_client_of_the_pseudo_root_keeps_open_what_it_holds() {
    let rig = rig().await;
    let admission = Admission { target: Target::PseudoRoot, access_point: None, principal: Principal::Anonymous };
    *rig.exports.admission.lock() = Ok(admission);
    let mut client = mount(&rig, "holder").await;
    client.lookup(FS).await;
    // Opened by that, it reads its recovery records.
    until(|| rig.server.status().file_systems.iter().all(|found| found.grace == nfs_server::GraceStatus::Over)).await;
    let (handle, opened) = client.open(FS, "file").await;
    let connection = std::mem::replace(&mut client.connection, Connection::clear(rig.address).await);
    drop(connection);
    tokio::time::sleep(Duration::from_millis(1800)).await;
    assert!(is_open(&rig) && closings(&rig, 0) == 0);
    client.close(&handle, opened.stateid).await;
    client.unmount().await;
    until_closed(&rig).await;
}
