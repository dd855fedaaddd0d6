//! Key leases, seals, stored replies and records: Architecture section 5 "Lease" and "A seal", section 3 "Durable replies".
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::{sync::atomic::Ordering, time::Duration};

use crate::rig::{Caller, GIVEN, REFUSED, Rig, SILENT, UNREACHABLE, name_of};
use bytes::Bytes;
use env::Env;
use filesystem::{
    Budget, Context, FileSystem, FsError, LeaseState, NewObject, ReplyKey, SealCause, SetAttributes, Settings,
    Stability,
};

async fn until(rig: &Rig, what: impl Fn(&LeaseState) -> bool) {
    let mut watch = rig.fs.lease_watch();
    let found = tokio::time::timeout(Duration::from_secs(20), watch.wait_for(|state| what(state))).await;
    found.unwrap().unwrap();
}

const fn sealed_by(state: &LeaseState, cause: SealCause) -> bool {
    matches!((state, cause), (LeaseState::Sealed { cause: SealCause::Refused, .. }, SealCause::Refused))
        || matches!((state, cause), (LeaseState::Sealed { cause: SealCause::Unreachable, .. }, SealCause::Unreachable))
}

/// Architecture section 5: a notice seals at once when the key is refused; every operation on objects then fails the same
/// way, handles still resolve, unstable data was flushed; when the key is back the same nodes serve again.
#[tokio::test]
async fn a_refused_key_seals_at_once_and_opens_again() {
    for metadata in [false, true] {
        let rig = Rig::new().await;
        let root = rig.root().await;
        let file = rig.file(&root, "f").await.unwrap();
        rig.write(&file, 0, b"unstable", Stability::Unstable).await.unwrap();
        let read = rig.fs.read(&Caller::root().cx(), &file, 0, 9).await.unwrap();
        assert!(rig.fs.lease_valid(read.lease));
        let verifier = rig.fs.write_verifier();
        let key = if metadata { &rig.keys.metadata } else { &rig.keys.data };
        key.store(REFUSED, Ordering::SeqCst);
        rig.fs.key_notice();
        until(&rig, |state| sealed_by(state, SealCause::Refused)).await;
        assert!(!rig.fs.lease_valid(read.lease));
        let sealed = Some(FsError::Sealed(SealCause::Refused));
        assert_eq!(rig.lookup(&root, "f").await.err(), sealed);
        assert_eq!(rig.lookup(&root, "absent").await.err(), sealed);
        assert_eq!(rig.attributes(&file).await.err(), sealed);
        assert_eq!(rig.read(&file, 0, 9).await.err(), sealed);
        assert_eq!(rig.write(&file, 0, b"x", Stability::Unstable).await.err(), sealed);
        assert_eq!(rig.names(&root, 9).await.err(), sealed);
        assert_eq!(rig.fs.resolve(file.handle().bytes()).await.unwrap(), file);
        key.store(GIVEN, Ordering::SeqCst);
        rig.fs.key_notice();
        until(&rig, |state| *state == LeaseState::Open).await;
        assert_eq!(rig.read(&file, 0, 9).await.unwrap(), b"unstable");
        assert_eq!(rig.lookup(&root, "f").await.unwrap(), file);
        assert_eq!(rig.fs.write_verifier(), verifier);
        assert!(rig.fs.lease_status().ages.iter().all(Option::is_some));
    }
}

/// Architecture section 5: a key service that does not answer seals at the absolute end of the lease, not before, and the
/// error says "later".
#[tokio::test]
async fn an_unreachable_key_seals_at_the_end_of_the_lease() {
    for mode in [UNREACHABLE, SILENT] {
        let (env, simulation) = Env::simulated(7);
        let rig = Rig::with_env(Settings::default(), env, Budget::default()).await;
        let root = rig.root().await;
        let file = rig.file(&root, "f").await.unwrap();
        rig.write(&file, 0, b"data", Stability::FileSync).await.unwrap();
        rig.keys.data.store(mode, Ordering::SeqCst);
        let step = |seconds| {
            simulation.advance(Duration::from_secs(seconds));
            async {
                for _ in 0..50 {
                    tokio::task::yield_now().await;
                }
            }
        };
        for _ in 0..59 {
            step(1).await;
            assert_eq!(rig.read(&file, 0, 9).await.unwrap(), b"data");
        }
        step(1).await;
        let sealed = Some(FsError::Sealed(SealCause::Unreachable));
        assert_eq!(rig.read(&file, 0, 9).await.err(), sealed);
        for _ in 0..100 {
            step(1).await;
            assert_eq!(rig.lookup(&root, "f").await.err(), sealed);
        }
        rig.keys.data.store(GIVEN, Ordering::SeqCst);
        for _ in 0..120 {
            step(1).await;
        }
        assert_eq!(rig.read(&file, 0, 9).await.unwrap(), b"data");
        // A lease that is renewed goes on and on.
        for _ in 0..200 {
            step(1).await;
            assert_eq!(rig.read(&file, 0, 9).await.unwrap(), b"data");
        }
    }
}

/// Architecture section 5: with a key withheld a file system opens sealed, and serves when the key is back.
#[tokio::test]
async fn a_file_system_opens_sealed() {
    for metadata in [false, true] {
        let mut rig = Rig::new().await;
        let file = rig.file(&rig.root().await, "f").await.unwrap();
        rig.fs.put_record(1, b"client", b"state").await.unwrap();
        let handle = file.handle();
        drop(file);
        let key = if metadata { &rig.keys.metadata } else { &rig.keys.data };
        key.store(REFUSED, Ordering::SeqCst);
        rig.fs = FileSystem::open(rig.parts(), rig.settings.clone()).await.unwrap();
        assert_eq!(rig.fs.root().await.err(), Some(FsError::Sealed(SealCause::Refused)));
        assert_eq!(rig.fs.resolve(handle.bytes()).await.unwrap().handle(), handle);
        assert_eq!(rig.fs.list_records(1).await.is_err(), metadata);
        let LeaseState::Sealed { reason, .. } = rig.fs.lease_status().state else { panic!("it is sealed") };
        assert_eq!(reason, "the key is disabled");
        key_back(&rig, metadata);
        until(&rig, |state| *state == LeaseState::Open).await;
        assert_eq!(rig.lookup(&rig.root().await, "f").await.unwrap().handle(), handle);
        assert_eq!(rig.fs.list_records(1).await.unwrap(), [(b"client".to_vec(), b"state".to_vec())]);
    }
}

fn key_back(rig: &Rig, metadata: bool) {
    let key = if metadata { &rig.keys.metadata } else { &rig.keys.data };
    key.store(GIVEN, Ordering::SeqCst);
    rig.fs.key_notice();
}

/// Architecture section 3, "Durable replies": the reply is durable with the operation; a crash keeps both or neither.
#[tokio::test]
async fn replies_are_durable_with_their_operations() {
    let mut rig = Rig::new().await;
    let root = rig.root().await;
    let key = ReplyKey { session: [7; 16], slot: 3, sequence: 9 };
    let caller = Caller::root();
    let hold = rig.fs.hold_reply(key);
    let cx = Context { reply: Some(&hold), ..caller.cx() };
    let set = SetAttributes::default();
    rig.fs.create_object(&cx, &root, &name_of("d"), NewObject::Directory, &set).await.unwrap();
    // Records of the protocol server do not wait for the held operation.
    rig.fs.put_record(2, b"k", b"v").await.unwrap();
    hold.finish(Bytes::from_static(b"the reply"), &caller.watermark);
    rig.fs.durable(&caller.watermark).await.unwrap();
    rig.fs.delete_record(2, b"k").await.unwrap();

    // Dropped without a reply, the operation goes on alone.
    let hold = rig.fs.hold_reply(ReplyKey { sequence: 10, ..key });
    let cx = Context { reply: Some(&hold), ..caller.cx() };
    rig.fs.create_object(&cx, &root, &name_of("e"), NewObject::Directory, &set).await.unwrap();
    drop(hold);
    rig.fs.durable(&caller.watermark).await.unwrap();

    // Not finished before the crash: neither.
    let hold = rig.fs.hold_reply(ReplyKey { slot: 4, ..key });
    let cx = Context { reply: Some(&hold), ..caller.cx() };
    rig.fs.create_object(&cx, &root, &name_of("g"), NewObject::Directory, &set).await.unwrap();
    tokio::time::timeout(Duration::from_millis(50), rig.fs.durable(&caller.watermark)).await.unwrap_err();
    drop(root);
    rig.crash().await;
    hold.finish(Bytes::from_static(b"too late"), &caller.watermark);
    let root = rig.root().await;
    assert_eq!(rig.names(&root, 9).await.unwrap(), ["d", "e"]);
    assert_eq!(rig.fs.stored_reply(&key).await.unwrap().as_deref(), Some(b"the reply".as_slice()));
    assert_eq!(rig.fs.stored_reply(&ReplyKey { sequence: 8, ..key }).await.unwrap(), None);
    assert_eq!(rig.fs.stored_reply(&ReplyKey { slot: 4, ..key }).await.unwrap(), None);
    assert_eq!(rig.fs.reply_sessions().await.unwrap(), [[7; 16]]);
    rig.fs.forget_session(&[7; 16]).await.unwrap();
    assert_eq!(rig.fs.stored_reply(&key).await.unwrap(), None);
    assert!(rig.fs.list_records(2).await.unwrap().is_empty());
}

/// Architecture section 3: the committer waits for a held reply, but not for ever; a late reply is durable before its
/// compound is answered all the same.
#[tokio::test]
async fn a_late_reply_does_not_stop_the_others() {
    let rig = Rig::new().await;
    let root = rig.root().await;
    let key = ReplyKey { session: [7; 16], slot: 0, sequence: 1 };
    let caller = Caller::root();
    let hold = rig.fs.hold_reply(key);
    let cx = Context { reply: Some(&hold), ..caller.cx() };
    let set = SetAttributes::default();
    rig.fs.create_object(&cx, &root, &name_of("d"), NewObject::Directory, &set).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), rig.mkdir(&root, "e")).await.unwrap().unwrap();
    hold.finish(Bytes::from_static(b"late"), &caller.watermark);
    rig.fs.durable(&caller.watermark).await.unwrap();
    assert_eq!(rig.fs.stored_reply(&key).await.unwrap().as_deref(), Some(b"late".as_slice()));
}
