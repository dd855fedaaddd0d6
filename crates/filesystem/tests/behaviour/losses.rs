//! Data that is lost on its way, and who must be told: nobody who waited for it may take it for durable (RFC 8881
//! section 18.32, FILE_SYNC4; section 18.3), and what a crash leaves is as if it had never been written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use crate::rig::Rig;
use filesystem::{FsError, Node, RemoveWhat, Result, Stability};
use storage::{
    StorageError,
    faulty::{Faults, PutFault, ReadFault},
};
use tokio::task::JoinHandle;

/// More than goes inline.
const LARGE: usize = 100_000;

async fn scene() -> (Arc<Rig>, Faults, Node) {
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(false).await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    (Arc::new(rig), faults, file)
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn begin_write(rig: &Arc<Rig>, file: &Node, offset: u64, byte: u8) -> JoinHandle<Result<()>> {
    let (rig, file) = (rig.clone(), file.clone());
    let task = tokio::spawn(async move { rig.write(&file, offset, &[byte; LARGE], Stability::FileSync).await });
    settle().await;
    task
}

async fn begin_commit(rig: &Arc<Rig>, file: &Node) -> JoinHandle<Result<()>> {
    let (rig, file) = (rig.clone(), file.clone());
    let task = tokio::spawn(async move { rig.commit(&file).await });
    settle().await;
    task
}

/// RFC 8881 section 18.32: FILE_SYNC4 is said of data that is durable, also when the flush that took it along, and
/// failed, was another caller's.
#[tokio::test]
async fn a_stable_write_that_anothers_flush_has_lost_is_an_error() {
    let (rig, faults, file) = scene().await;
    let late = PutFault::Late(Duration::from_millis(50));
    faults.puts([late, PutFault::Refuse(StorageError::NoSpace)]);
    let first = begin_write(&rig, &file, 0, 1).await;
    rig.write(&file, 0, b"unstable", Stability::Unstable).await.unwrap();
    // Both wait for the first; the commit comes first and takes the data of both along.
    let commit = begin_commit(&rig, &file).await;
    let second = begin_write(&rig, &file, 500_000, 2).await;
    assert_eq!(first.await.unwrap(), Ok(()));
    assert_eq!(commit.await.unwrap(), Err(FsError::NoSpace));
    assert_eq!(second.await.unwrap(), Err(FsError::NoSpace));
    assert!(rig.read(&file, 0, 1 << 20).await.unwrap() == [1; LARGE]);
    rig.write(&file, 0, b"again", Stability::FileSync).await.unwrap();
}

/// RFC 8881 section 18.3: a COMMIT that meets the end of the shard while another flush fails is not answered OK.
#[tokio::test]
async fn a_commit_behind_a_flush_that_ends_the_shard_fails() {
    let (rig, faults, file) = scene().await;
    rig.write(&file, 0, &[1; LARGE], Stability::Unstable).await.unwrap();
    faults.puts([PutFault::Late(Duration::from_millis(50))]);
    let first = begin_commit(&rig, &file).await;
    let second = begin_commit(&rig, &file).await;
    faults.cut();
    assert_eq!(first.await.unwrap(), Err(FsError::Failed));
    assert_eq!(second.await.unwrap(), Err(FsError::Failed));
}

/// Architecture section 3, "Extents": an extent ends on the grid or at the end of the file, and that is the end that the
/// disk knows: unstable data beyond it may never come.
#[tokio::test]
async fn an_extent_does_not_reach_beyond_the_size_on_the_disk() {
    let mut rig = Rig::new().await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    rig.write(&file, 0, &[1; 5000], Stability::FileSync).await.unwrap();
    drop(file);
    let faults = rig.open_faulty(true).await;
    let rig = Arc::new(rig);
    let file = rig.lookup(&rig.root().await, "f").await.unwrap();
    // The flush begins with what is in the block before the data.
    faults.reads([ReadFault::Late(Duration::from_millis(50))]);
    let written = begin_write(&rig, &file, 100, 1).await;
    rig.write(&file, LARGE as u64 + 2000, &[2; 3000], Stability::Unstable).await.unwrap();
    written.await.unwrap().unwrap();
    drop(file);
    let mut rig = Arc::into_inner(rig).unwrap();
    rig.check().await;
    let file = rig.lookup(&rig.root().await, "f").await.unwrap();
    assert!(rig.read(&file, 0, 1 << 20).await.unwrap() == [1; LARGE + 100]);
}

/// Architecture section 3: "a watermark, raised by everything that it wrote or read": a rename that is refused for what
/// is not durable yet waits for it, since a crash might take the reason away.
#[tokio::test]
async fn a_refused_rename_waits_for_what_it_was_refused_for() {
    let (rig, faults, file) = scene().await;
    let root = rig.root().await;
    let target = rig.mkdir(&root, "target").await.unwrap();
    rig.mkdir(&root, "source").await.unwrap();
    faults.hold_commits();
    let cx = crate::rig::Caller::root();
    rig.fs.link(&cx.cx(), &file, &target, &crate::rig::name_of("g")).await.unwrap();
    let refused = tokio::spawn({
        let (rig, root) = (rig.clone(), root.clone());
        async move {
            let cx = crate::rig::Caller::root();
            let refused = rig
                .fs
                .rename(&cx.cx(), &root, &crate::rig::name_of("source"), &root, &crate::rig::name_of("target"))
                .await;
            (refused.err(), rig.fs.durable(&cx.watermark).await)
        }
    });
    settle().await;
    assert!(!refused.is_finished());
    faults.release();
    assert_eq!(refused.await.unwrap(), (Some(FsError::NotEmpty), Ok(())));

    // And so does a link to a file whose last name is being removed.
    let hold = rig.fs.hold_open(&file);
    rig.remove(&root, "f").await.unwrap();
    faults.hold_commits();
    rig.fs.remove(&cx.cx(), &target, &crate::rig::name_of("g"), RemoveWhat::Any).await.unwrap();
    let seen = crate::rig::Caller::root();
    let refused = rig.fs.link(&seen.cx(), &file, &root, &crate::rig::name_of("again")).await;
    assert_eq!(refused.err(), Some(FsError::NotFound));
    let early = tokio::time::timeout(Duration::from_millis(20), rig.fs.durable(&seen.watermark)).await;
    assert!(early.is_err(), "the refusal is told before the removal is durable");
    faults.release();
    rig.fs.durable(&seen.watermark).await.unwrap();
    drop(hold);
}

/// RFC 8881, NFS4ERR_STALE: a read that meets the removal of its file finds that it is gone, and no
/// damage; one that meets an overwrite brings what was there before or after it.
#[tokio::test]
async fn a_read_that_meets_a_removal_finds_the_file_gone() {
    let mut rig = Rig::new().await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    // Two extents: while the read waits for the first, the second goes.
    for offset in [0, 4096] {
        rig.write(&file, offset, &[1; 4096], Stability::FileSync).await.unwrap();
    }
    drop(file);
    let faults = rig.open_faulty(true).await;
    rig.fs.collect_orphans();
    let rig = Arc::new(rig);
    let root = rig.root().await;
    let file = rig.lookup(&root, "f").await.unwrap();
    assert_eq!(rig.read(&file, 0, 1).await.unwrap(), [1]);
    for byte in [2, 3] {
        faults.reads([ReadFault::Late(Duration::from_millis(50))]);
        let reader = tokio::spawn({
            let (rig, file) = (rig.clone(), file.clone());
            async move { rig.read(&file, 0, 8192).await }
        });
        settle().await;
        if byte == 3 {
            rig.remove(&root, "f").await.unwrap();
            assert_eq!(reader.await.unwrap(), Err(FsError::Stale));
            return;
        }
        rig.write(&file, 0, &[byte; 8192], Stability::FileSync).await.unwrap();
        let found = reader.await.unwrap().unwrap();
        assert!(found == [1; 8192] || found == [byte; 8192]);
        for offset in [0, 4096] {
            rig.write(&file, offset, &[byte; 4096], Stability::FileSync).await.unwrap();
        }
    }
}
