//! Objects without names and truncations left for later (Architecture section 3, "Large work", "Unlinked but open").
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::rig::{GIVEN, REFUSED, Rig};
use filesystem::{FsError, Settings, Stability};
use storage::faulty::{PutFault, ReadFault};

/// Architecture section 3, "Unlinked but open": an object that is being collected is gone for everybody at once; nobody
/// sees it half removed, and whoever comes too late does not stop the file system.
#[tokio::test]
async fn an_object_being_collected_is_gone_at_once() {
    let settings = Settings { queue_operations_max: 2, ..Settings::default() };
    let mut rig = Rig::with(settings).await;
    let faults = rig.open_faulty(true).await;
    rig.fs.collect_orphans();
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    rig.write(&file, 0, &vec![1; 3 << 20], Stability::FileSync).await.unwrap();
    let hold = rig.fs.hold_open(&file);
    rig.remove(&root, "f").await.unwrap();
    assert_eq!(rig.read(&file, 0, 4).await.unwrap(), [1; 4]);
    faults.reads([ReadFault::Late(Duration::from_millis(300))]);
    drop(hold);
    rig.env.sleep(Duration::from_millis(50)).await;

    let late = rig.fs.hold_open(&file);
    let rig = Arc::new(rig);
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (rig, file) = (rig.clone(), file.clone());
            tokio::spawn(async move { rig.write(&file, 0, b"late", Stability::FileSync).await })
        })
        .collect();
    for writer in writers {
        assert_eq!(writer.await.unwrap().err(), Some(FsError::Stale));
    }
    assert_eq!(rig.fs.resolve(file.handle().bytes()).await.err(), Some(FsError::Stale));
    tokio::select! {
        made = rig.mkdir(&root, "d") => drop(made.unwrap()),
        () = rig.env.sleep(Duration::from_secs(10)) => panic!("nobody gets into the queue any more"),
    }
    rig.env.sleep(Duration::from_millis(400)).await;
    assert_eq!(rig.fs.statistics().objects, 2);
    drop(late);
    drop((root, file));
    let mut rig = Arc::into_inner(rig).unwrap();
    rig.check().await;
}

/// Architecture section 3, "Large work": a durable intent stays until it is carried out, also when a seal of the metadata
/// key takes the object out of memory in the middle of it.
#[tokio::test]
async fn an_intent_outlives_a_seal_in_the_middle_of_it() {
    let mut rig = Rig::new().await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    rig.write(&file, 0, &vec![1; 3 << 20], Stability::FileSync).await.unwrap();
    rig.truncate(&file, 5 << 20).await.unwrap();
    drop(file);
    let faults = rig.open_faulty(true).await;
    let root = rig.root().await;
    let file = rig.lookup(&root, "f").await.unwrap();
    let hold = rig.fs.hold_open(&file);
    rig.remove(&root, "f").await.unwrap();
    // The map is known but for its empty end, so that the cut is left to the reaper, who has all of it in memory.
    assert_eq!(rig.read(&file, 0, 3 << 20).await.unwrap().len(), 3 << 20);
    faults.reads([ReadFault::Late(Duration::from_millis(400))]);
    rig.truncate(&file, 100).await.unwrap();
    rig.env.sleep(Duration::from_millis(50)).await;
    rig.keys.metadata.store(REFUSED, Ordering::SeqCst);
    rig.fs.key_notice();
    rig.env.sleep(Duration::from_millis(100)).await;
    assert!(matches!(rig.read(&file, 0, 4).await, Err(FsError::Sealed(_))));
    rig.keys.metadata.store(GIVEN, Ordering::SeqCst);
    rig.fs.key_notice();
    // Nobody brings the object back into memory before the reaper goes on.
    rig.env.sleep(Duration::from_millis(500)).await;
    drop((hold, root, file));
    rig.check().await;

    // After the crash the object is still known to be without a name.
    rig.fs.collect_orphans();
    for _ in 0..40 {
        if rig.fs.statistics().objects > 1 {
            rig.env.sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!(rig.fs.statistics().objects, 1);
    rig.check().await;
}

/// Architecture section 3, "Unlinked but open": in grace a file that loses its last name is kept for whoever may reclaim it,
/// also when the reaper has just been at work on it.
#[tokio::test]
async fn a_file_removed_in_grace_is_kept_while_the_reaper_is_at_it() {
    let mut rig = Rig::new().await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    for block in 0..230 {
        rig.write(&file, block * 8192, b"x", Stability::Unstable).await.unwrap();
    }
    rig.commit(&file).await.unwrap();
    drop(file);
    let faults = rig.open_faulty(true).await;
    let rig = Arc::new(rig);
    let root = rig.root().await;
    let file = rig.lookup(&root, "f").await.unwrap();
    assert_eq!(rig.read(&file, 0, 2_000_000).await.unwrap().len(), 229 * 8192 + 1);
    // The reaper carries the truncation out, and meanwhile somebody writes: it waits for the end of that.
    faults.reads([ReadFault::Late(Duration::from_millis(50))]);
    rig.truncate(&file, 100).await.unwrap();
    faults.puts([PutFault::Late(Duration::from_millis(300))]);
    let writer = tokio::spawn({
        let (rig, file) = (rig.clone(), file.clone());
        async move { rig.write(&file, 0, &[1; 100_000], Stability::FileSync).await }
    });
    rig.env.sleep(Duration::from_millis(150)).await;
    rig.remove(&root, "f").await.unwrap();
    writer.await.unwrap().unwrap();
    rig.env.sleep(Duration::from_millis(50)).await;
    rig.fs.resolve(file.handle().bytes()).await.unwrap();
    assert!(rig.read(&file, 0, 200_000).await.unwrap() == [1; 100_000]);
    rig.fs.collect_orphans();
    rig.env.sleep(Duration::from_millis(100)).await;
    assert_eq!(rig.fs.statistics().objects, 1);
}
