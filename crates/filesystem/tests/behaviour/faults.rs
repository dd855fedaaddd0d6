//! What a failing store does to a file system: Architecture section 3 ("a failed commit fails the shard", "data always
//! before metadata", "Write verifier") and section 5 ("A seal flushes dirty data for at most 10 s").
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::{sync::atomic::Ordering, time::Duration};

use crate::rig::{Caller, GIVEN, REFUSED, Rig};
use bytes::Bytes;
use env::Env;
use filesystem::{Budget, FsError, LeaseState, SealCause, Settings, Stability};
use storage::{
    CommitError, StorageError,
    faulty::{CommitFault, Faults, PutFault, ReadFault},
};

/// Architecture section 3: when a commit fails nobody is told OK, everything fails until the file system is opened again,
/// and then everything acknowledged is there.
#[tokio::test]
async fn a_failed_commit_fails_the_shard() {
    let kinds = [
        CommitFault::Refuse(CommitError::Io("a failed sync".into())),
        CommitFault::Refuse(CommitError::Fenced),
        CommitFault::CutBefore,
        CommitFault::CutAfter,
    ];
    for fault in kinds {
        let kept = matches!(fault, CommitFault::CutAfter);
        let mut rig = Rig::new().await;
        let faults = rig.open_faulty(false).await;
        let root = rig.root().await;
        rig.mkdir(&root, "acknowledged").await.unwrap();
        let file = rig.file(&root, "acknowledged too").await.unwrap();
        rig.write(&file, 0, &[3; 9999], Stability::Unstable).await.unwrap();
        faults.commits([fault]);
        assert_eq!(rig.mkdir(&root, "unknown").await.err(), Some(FsError::Failed));
        assert!(*rig.fs.failed().borrow());
        assert_eq!(rig.lookup(&root, "acknowledged").await.err(), Some(FsError::Failed));
        assert_eq!(rig.mkdir(&root, "later").await.err(), Some(FsError::Failed));
        assert_eq!(rig.fs.put_record(1, b"k", b"v").await.err(), Some(FsError::Failed));
        drop(root);
        rig.check().await;
        assert_eq!(rig.budget.dirty_bytes(), 0);
        let names = rig.names(&rig.root().await, 9).await.unwrap();
        let expected = ["acknowledged", "acknowledged too", "unknown"];
        assert_eq!(names, if kept { &expected[..] } else { &expected[..2] });
    }
}

/// RFC 8881 section 18.32: data that could not be flushed is lost, COMMIT says so once, the verifier changes, and the
/// file goes on with what is durable.
#[tokio::test]
async fn a_failed_flush_is_told_once() {
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(false).await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    rig.write(&file, 0, b"kept", Stability::FileSync).await.unwrap();
    let verifier = rig.fs.write_verifier();
    rig.write(&file, 0, &vec![7; 1 << 20], Stability::Unstable).await.unwrap();
    faults.puts([PutFault::Refuse(StorageError::NoSpace)]);
    assert_eq!(rig.commit(&file).await.err(), Some(FsError::NoSpace));
    assert_ne!(rig.fs.write_verifier(), verifier);
    rig.commit(&file).await.unwrap();
    assert_eq!(rig.read(&file, 0, 9).await.unwrap(), b"kept");
    assert_eq!(rig.attributes(&file).await.unwrap().size, 4);
    assert_eq!(rig.budget.dirty_bytes(), 0);
    rig.write(&file, 4, b" on", Stability::FileSync).await.unwrap();
    drop(file);
    rig.check().await;
    let file = rig.lookup(&rig.root().await, "f").await.unwrap();
    assert_eq!(rig.read(&file, 0, 9).await.unwrap(), b"kept on");
}

/// Architecture section 3, "Data": a crash between the segments and the map leaves the old content.
#[tokio::test]
async fn a_crash_between_segments_and_map_leaves_the_old_content() {
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(true).await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    let old = vec![1; 3 << 20];
    rig.write(&file, 0, &old, Stability::FileSync).await.unwrap();
    faults.hold_commits();
    let caller = Caller::root();
    rig.fs.write(&caller.cx(), &file, 0, Bytes::from(vec![2; 3 << 20]), Stability::FileSync).await.unwrap();
    assert!(rig.read(&file, 0, 1 << 22).await.unwrap() == vec![2; 3 << 20]);
    faults.cut();
    assert_eq!(rig.fs.durable(&caller.watermark).await.err(), Some(FsError::Failed));
    drop(file);
    rig.check().await;
    let file = rig.lookup(&rig.root().await, "f").await.unwrap();
    assert!(rig.read(&file, 0, 1 << 22).await.unwrap() == old);
}

/// Architecture section 4: an error of the disk on a read is that read's error; all else is served.
#[tokio::test]
async fn a_read_error_is_an_error_of_that_read() {
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(true).await;
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    rig.write(&file, 0, &[5; 200_000], Stability::FileSync).await.unwrap();
    faults.reads([ReadFault::Fail(StorageError::NoSuchPlace("torn".into()))]);
    assert!(matches!(rig.read(&file, 0, 200_000).await, Err(FsError::Io(_))));
    assert!(rig.read(&file, 0, 200_000).await.unwrap() == vec![5; 200_000]);
    rig.mkdir(&root, "d").await.unwrap();
}

/// Architecture section 5: a seal that cannot flush drops the dirty data after 10 s, says so by the verifier, and leaves
/// nothing of it when the key comes back.
#[tokio::test]
async fn a_seal_does_not_wait_for_ever() {
    let (env, simulation) = Env::simulated(3);
    let mut rig = Rig::with_env(Settings::default(), env, Budget::default()).await;
    let faults = rig.open_faulty(false).await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    rig.write(&file, 0, b"kept", Stability::FileSync).await.unwrap();
    rig.write(&file, 0, &vec![9; 1 << 20], Stability::Unstable).await.unwrap();
    let verifier = rig.fs.write_verifier();
    faults.puts([PutFault::Late(Duration::from_secs(3600))]);
    rig.keys.data.store(REFUSED, Ordering::SeqCst);
    rig.fs.key_notice();
    for _ in 0..12 {
        settle().await;
        simulation.advance(Duration::from_secs(1));
    }
    settle().await;
    assert!(matches!(rig.fs.lease_status().state, LeaseState::Sealed { cause: SealCause::Refused, .. }));
    assert_eq!(rig.read(&file, 0, 9).await.err(), Some(FsError::Sealed(SealCause::Refused)));
    assert_ne!(rig.fs.write_verifier(), verifier);
    assert_eq!(rig.budget.dirty_bytes(), 0);
    rig.keys.data.store(GIVEN, Ordering::SeqCst);
    rig.fs.key_notice();
    settle().await;
    assert_eq!(rig.read(&file, 0, 9).await.unwrap(), b"kept");
    assert!(rig.commit(&file).await.is_err());
    rig.commit(&file).await.unwrap();
}

/// Architecture section 5: no key is used beyond its lease, by a check that takes long neither.
#[tokio::test]
async fn a_long_check_asks_for_its_keys_again() {
    let (env, simulation) = Env::simulated(4);
    let rig = Rig::with_env(Settings::default(), env, Budget::default()).await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    rig.write(&file, 0, b"data", Stability::FileSync).await.unwrap();
    for refused in [false, true] {
        let faults = Faults::new(rig.env.clone());
        faults.never_now(true);
        faults.reads(vec![ReadFault::Late(Duration::from_secs(40)); 12]);
        let mut parts = rig.parts();
        (parts.shard, parts.segments) = faults.wrap((parts.shard, parts.segments));
        let check = tokio::spawn(filesystem::fsck::check(parts, rig.settings.clone(), true));
        for second in 0..60 {
            settle().await;
            if refused && second == 10 {
                rig.keys.metadata.store(REFUSED, Ordering::SeqCst);
            }
            simulation.advance(Duration::from_secs(10));
        }
        settle().await;
        let checked = check.await.unwrap();
        if refused {
            assert_eq!(checked.err(), Some(FsError::Sealed(SealCause::Refused)));
        } else {
            assert!(checked.unwrap().is_clean());
        }
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Architecture section 3: the write-back buffer is bounded; whoever writes more waits for a flush, and nothing is lost.
#[tokio::test]
async fn the_write_back_buffer_is_bounded() {
    let budget = Budget::new(1000, 1000, 256 << 10, 0);
    let rig = Rig::with_env(Settings::default(), Env::real(), budget).await;
    let root = rig.root().await;
    for number in 0..8_u8 {
        let file = rig.file(&root, &format!("f{number}")).await.unwrap();
        for part in 0..16 {
            rig.write(&file, part * 65536, &[number + 1; 65536], Stability::Unstable).await.unwrap();
            assert!(rig.budget.dirty_bytes() <= (256 << 10) + 65536);
        }
        assert!(rig.read(&file, 0, 1 << 20).await.unwrap() == vec![number + 1; 1 << 20]);
    }
}

/// Architecture section 3: many files and entries stay within the bounds of the caches, and nothing is forgotten.
#[tokio::test]
async fn caches_forget_only_what_is_durable() {
    let budget = Budget::new(64, 64, 1 << 20, 4096);
    let settings = Settings { dirty_age: Duration::from_millis(20), ..Settings::default() };
    let mut rig = Rig::with_env(settings, Env::real(), budget).await;
    let root = rig.root().await;
    let mut expected = Vec::new();
    for number in 0..1500_u32 {
        let name = format!("f{number:04}");
        let file = rig.file(&root, &name).await.unwrap();
        rig.write(&file, 0, &number.to_be_bytes(), Stability::Unstable).await.unwrap();
        expected.push(name);
        if number % 500 == 499 {
            rig.env.sleep(Duration::from_millis(120)).await;
            assert_eq!(rig.names(&root, 7).await.unwrap(), expected);
        }
    }
    for number in (0..1500_u32).step_by(37) {
        let file = rig.lookup(&root, &format!("f{number:04}")).await.unwrap();
        assert_eq!(rig.read(&file, 0, 9).await.unwrap(), number.to_be_bytes());
    }
    rig.fs.close().await.unwrap();
    drop(root);
    rig.check().await;
    assert_eq!(rig.names(&rig.root().await, 1000).await.unwrap(), expected);
}

/// Architecture section 3: the queue is bounded; whoever waits for room in it goes on when the shard fails.
#[tokio::test]
async fn a_full_queue_lets_go_when_the_shard_fails() {
    let mut rig = Rig::with(Settings { queue_operations_max: 2, ..Settings::default() }).await;
    let faults = rig.open_faulty(false).await;
    faults.hold_commits();
    let rig = std::sync::Arc::new(rig);
    let root = rig.root().await;
    let tasks: Vec<_> = (0..6)
        .map(|number| {
            let (rig, root) = (rig.clone(), root.clone());
            tokio::spawn(async move { rig.mkdir(&root, &format!("d{number}")).await })
        })
        .collect();
    settle().await;
    assert!(rig.names(&root, 9).await.unwrap().len() <= 2);
    faults.cut();
    for task in tasks {
        assert_eq!(task.await.unwrap().err(), Some(FsError::Failed));
    }
}
