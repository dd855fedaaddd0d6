//! Flushes: where they end, what they share, and what of them a crash shows (Architecture section 3, "Data").
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::rig::{Caller, Rig, name_of};
use filesystem::{FsError, SetAttributes, Settings, Stability};
use storage::{
    Keyspace, StorageError,
    faulty::{PutFault, ReadFault},
};

/// RFC 8881 section 18.3: COMMIT is for what was written before it, and ends however busy the writers are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_ends_while_others_write() {
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(false).await;
    faults.puts(vec![PutFault::Late(Duration::from_millis(5)); 10_000]);
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    let rig = Arc::new(rig);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (rig, file, stop) = (rig.clone(), file.clone(), stop.clone());
        tokio::spawn(async move {
            let mut at = 1_u64 << 20;
            while !stop.load(Ordering::Relaxed) {
                rig.write(&file, at, &[2; 100_000], Stability::Unstable).await.unwrap();
                at += 100_000;
                rig.env.sleep(Duration::from_micros(500)).await;
            }
        })
    };
    for round in 0..5_u8 {
        rig.write(&file, 0, &[round; 100_000], Stability::Unstable).await.unwrap();
        tokio::select! {
            committed = rig.commit(&file) => committed.unwrap(),
            () = rig.env.sleep(Duration::from_secs(10)) => panic!("the commit does not end"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

/// Architecture section 3: files that are flushed together share syncs, so that a seal or a stop has a chance.
#[tokio::test]
async fn files_are_flushed_side_by_side() {
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(false).await;
    let root = rig.root().await;
    for number in 0..60 {
        let file = rig.file(&root, &format!("f{number}")).await.unwrap();
        rig.write(&file, 0, &[3; 70_000], Stability::Unstable).await.unwrap();
    }
    faults.puts(vec![PutFault::Late(Duration::from_millis(100)); 60]);
    let begun = rig.env.now();
    rig.fs.close().await.unwrap();
    let took = rig.env.now().since(begun);
    assert!(took < Duration::from_secs(3), "{took:?} for 60 files of 100 ms each");
    drop(root);
    rig.check().await;
    assert_eq!(rig.names(&rig.root().await, 9).await.unwrap().len(), 60);
}

/// Architecture section 3, "Data": a lone small flush takes one sync; when many wait, their bytes are written once instead.
#[tokio::test]
async fn small_flushes_go_into_segments_when_many_wait() {
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(false).await;
    let root = rig.root().await;
    let mut files = Vec::new();
    for number in 0..40 {
        files.push(rig.file(&root, &format!("f{number}")).await.unwrap());
    }
    rig.write(&files[0], 0, &[1; 4096], Stability::FileSync).await.unwrap();
    assert_eq!((rig.memory.segments().len(), rig.memory.keys(Keyspace::Inline)), (0, 1));
    faults.hold_commits();
    let rig = Arc::new(rig);
    let writes = files.iter().cloned().map(|file| {
        let rig = rig.clone();
        tokio::spawn(async move { rig.write(&file, 0, &[2; 4096], Stability::FileSync).await })
    });
    let writes: Vec<_> = writes.collect();
    while rig.memory.segments().is_empty() {
        tokio::task::yield_now().await;
    }
    faults.release();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let inline = rig.memory.keys(Keyspace::Inline);
    assert!((2..=20).contains(&inline), "{inline} of 40 are inline");
    for file in &files {
        assert!(rig.read(file, 0, 4096).await.unwrap() == [2; 4096]);
    }
}

/// Architecture section 1, "Errors": an error of storage keeps its meaning: no room is NOSPC, a bad disk is an I/O error, and a shard that has
/// stopped is nobody's answer.
#[tokio::test]
async fn errors_of_storage_keep_their_meaning() {
    let bad = StorageError::Io { path: "1-0.seg".into(), cause: "bad".into() };
    let cases = [(StorageError::NoSpace, FsError::NoSpace), (bad.clone(), FsError::Io(bad.to_string()))];
    for (fault, expected) in cases {
        let mut rig = Rig::new().await;
        let faults = rig.open_faulty(false).await;
        let file = rig.file(&rig.root().await, "f").await.unwrap();
        faults.puts([PutFault::Refuse(fault.clone()), PutFault::Refuse(fault)]);
        rig.write(&file, 0, &[1; 70_000], Stability::Unstable).await.unwrap();
        let before = rig.attributes(&file).await.unwrap().change;
        assert_eq!(rig.commit(&file).await.err(), Some(expected.clone()));
        // The content is another one than that which this value stood for.
        assert!(rig.attributes(&file).await.unwrap().change > before);
        assert_eq!(rig.write(&file, 0, &[1; 70_000], Stability::FileSync).await.err(), Some(expected));
    }
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(false).await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    let verifier = rig.fs.write_verifier();
    rig.write(&file, 0, &[1; 70_000], Stability::Unstable).await.unwrap();
    faults.puts([PutFault::Refuse(StorageError::Stopped("it failed".into()))]);
    assert_eq!(rig.commit(&file).await.err(), Some(FsError::Failed));
    assert_eq!(rig.fs.write_verifier(), verifier, "the data is dropped with the shard, not before");
    faults.reads([ReadFault::Fail(StorageError::Stopped("it failed".into()))]);
    faults.never_now(true);
    assert_eq!(rig.lookup(&rig.root().await, "absent").await.err(), Some(FsError::Failed));
}

/// Architecture section 3, "Inode": a change attribute once shown is never shown again for other content, crashes
/// included.
#[tokio::test]
async fn a_change_attribute_shown_for_lost_data_does_not_come_back() {
    let mut rig = Rig::new().await;
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    let mut shown = Vec::new();
    for step in 0..3_u8 {
        rig.write(&file, 0, &[step; 100], Stability::Unstable).await.unwrap();
        shown.push(rig.attributes(&file).await.unwrap().change);
        // Stores the record while the data is only in memory.
        match step {
            0 => rig.set(&file, SetAttributes { mode: Some(0o600), ..SetAttributes::default() }).await.unwrap(),
            1 => rig.link(&file, &root, "g").await.unwrap(),
            _ => rig.rename(&root, "f", &root, "h").await.unwrap(),
        }
        shown.push(rig.attributes(&file).await.unwrap().change);
    }
    // A stream of which the first portion is in the map.
    rig.write(&file, 0, &vec![9; 9 << 20], Stability::Unstable).await.unwrap();
    shown.push(rig.attributes(&file).await.unwrap().change);
    rig.env.sleep(Duration::from_millis(200)).await;
    rig.write(&file, 9 << 20, &[9; 100], Stability::Unstable).await.unwrap();
    rig.set(&file, SetAttributes { mode: Some(0o640), ..SetAttributes::default() }).await.unwrap();
    shown.push(rig.attributes(&file).await.unwrap().change);
    drop((root, file));
    rig.check().await;
    let file = rig.lookup(&rig.root().await, "h").await.unwrap();
    let found = rig.attributes(&file).await.unwrap().change;
    assert!(!shown.contains(&found), "{found} in {shown:?}");

    // What is all there keeps its value.
    rig.write(&file, 0, &[1; 100], Stability::FileSync).await.unwrap();
    let stable = rig.attributes(&file).await.unwrap().change;
    drop(file);
    rig.check().await;
    let file = rig.lookup(&rig.root().await, "h").await.unwrap();
    assert_eq!(rig.attributes(&file).await.unwrap().change, stable);
}

/// Architecture section 3: a reply waits for what it rests on, the right to look and the absence of a name among it.
#[tokio::test]
async fn a_reply_waits_for_the_rights_it_rests_on() {
    let mut rig = Rig::with(Settings { cookie_bits: 2, ..Settings::default() }).await;
    let faults = rig.open_faulty(false).await;
    let root = rig.root().await;
    let directory = rig.mkdir(&root, "d").await.unwrap();
    for name in ["a", "b", "c"] {
        rig.file(&directory, name).await.unwrap();
    }
    faults.hold_commits();
    let writer = Caller::root();
    let private = SetAttributes { mode: Some(0o700), ..SetAttributes::default() };
    rig.fs.set_attributes(&writer.cx(), &directory, &private, false).await.unwrap();
    let reader = Caller::user(5, 5);
    let denied = rig.fs.lookup(&reader.cx(), &directory, &name_of("a")).await;
    assert_eq!(denied.err(), Some(FsError::Access));
    waits(&rig, &reader).await;
    faults.release();
    rig.fs.durable(&reader.watermark).await.unwrap();

    faults.hold_commits();
    for name in ["a", "b", "c"] {
        let what = filesystem::RemoveWhat::Any;
        rig.fs.remove(&writer.cx(), &directory, &name_of(name), what).await.unwrap();
    }
    for name in ["a", "b", "c"] {
        let reader = Caller::root();
        assert_eq!(rig.fs.lookup(&reader.cx(), &directory, &name_of(name)).await.err(), Some(FsError::NotFound));
        waits(&rig, &reader).await;
    }
    faults.release();
}

async fn waits(rig: &Rig, caller: &Caller) {
    tokio::select! {
        _ = rig.fs.durable(&caller.watermark) => panic!("the reply does not wait"),
        () = rig.env.sleep(Duration::from_millis(30)) => {}
    }
}
