//! A full disk (Architecture section 4: "changes that need space get NOSPC before the engine does, deletions may use
//! the reserve"): nobody is cut off, what is there is read, and room is made by removing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use crate::rig::Rig;
use filesystem::{FileSystem, FsError, Stability};
use storage::{
    CommitError, Space,
    faulty::{CommitFault, Faults},
};

const RESERVE_REACHED: Space = Space { free_bytes: 0, reserve_reached: true, reserve_used: false };
const RESERVE_USED: Space = Space { free_bytes: 0, reserve_reached: true, reserve_used: true };

/// RFC 8881 section 15.1.4.8 (NFS4ERR_NOSPC): what needs space is refused, small unstable data too; removing and cutting
/// off get on with the reserve, and reading always does.
#[tokio::test]
async fn growth_is_refused_and_deletions_get_on() {
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(false).await;
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    rig.write(&file, 0, &[1; 9000], Stability::FileSync).await.unwrap();
    rig.file(&root, "removed").await.unwrap();
    rig.write(&file, 0, b"unstable", Stability::Unstable).await.unwrap();

    faults.space(Some(RESERVE_REACHED));
    assert_eq!(rig.mkdir(&root, "d").await.err(), Some(FsError::NoSpace));
    assert_eq!(rig.rename(&root, "f", &root, "longer name").await.err(), Some(FsError::NoSpace));
    assert_eq!(rig.write(&file, 0, b"x", Stability::Unstable).await.err(), Some(FsError::NoSpace));
    let verifier = rig.fs.write_verifier();
    assert_eq!(rig.commit(&file).await.err(), Some(FsError::NoSpace));
    assert_ne!(rig.fs.write_verifier(), verifier);
    rig.commit(&file).await.unwrap();
    rig.remove(&root, "removed").await.unwrap();
    rig.truncate(&file, 5000).await.unwrap();
    assert_eq!(rig.read(&file, 0, 9000).await.unwrap(), [1; 5000]);

    faults.space(Some(RESERVE_USED));
    assert_eq!(rig.remove(&root, "f").await.err(), Some(FsError::NoSpace));
    assert_eq!(rig.truncate(&file, 0).await.err(), Some(FsError::NoSpace));
    assert_eq!(rig.fs.put_record(1, b"client", b"state").await.err(), Some(FsError::NoSpace));
    assert_eq!(rig.read(&file, 0, 9000).await.unwrap(), [1; 5000]);
    assert_eq!(rig.names(&root, 9).await.unwrap(), ["f"]);
    assert!(!*rig.fs.failed().borrow());

    faults.space(None);
    rig.mkdir(&root, "d").await.unwrap();
    drop((root, file));
    rig.check().await;
}

/// A batch that found no room at the last moment waits for it. Nobody is answered meanwhile, and the shard goes on.
#[tokio::test]
async fn a_batch_without_room_waits_for_it() {
    let mut rig = Rig::new().await;
    let faults = rig.open_faulty(false).await;
    let root = rig.root().await;
    faults.commits(vec![CommitFault::Refuse(CommitError::NoSpace); 3]);
    rig.mkdir(&root, "d").await.unwrap();
    assert!(!*rig.fs.failed().borrow());

    // One that waits for ever ends when the store does.
    faults.commits(vec![CommitFault::Refuse(CommitError::NoSpace); 1000]);
    let (made, ()) = tokio::join!(rig.mkdir(&root, "e"), async {
        rig.env.sleep(Duration::from_millis(300)).await;
        assert!(!*rig.fs.failed().borrow());
        faults.cut();
    });
    assert_eq!(made.err(), Some(FsError::Failed));
    drop(root);
    rig.check().await;
    assert_eq!(rig.names(&rig.root().await, 9).await.unwrap(), ["d"]);
}

/// Opening writes nothing, so that a file system on a full disk is opened and read, for as long as it takes.
#[tokio::test]
async fn a_file_system_on_a_full_disk_is_read() {
    let mut rig = Rig::new().await;
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    rig.write(&file, 0, &[7; 100_000], Stability::FileSync).await.unwrap();
    drop((root, file));

    let faults = Faults::new(rig.env.clone());
    faults.space(Some(RESERVE_USED));
    faults.commits(vec![CommitFault::Refuse(CommitError::NoSpace); 1000]);
    let mut parts = rig.parts();
    (parts.shard, parts.segments) = faults.wrap((parts.shard, parts.segments));
    rig.fs = FileSystem::open(parts, rig.settings.clone()).await.unwrap();
    let file = rig.lookup(&rig.root().await, "f").await.unwrap();
    assert!(rig.read(&file, 0, 100_000).await.unwrap() == [7; 100_000]);
    rig.env.sleep(Duration::from_millis(600)).await;
    assert!(rig.read(&file, 0, 100_000).await.unwrap() == [7; 100_000]);
    assert!(!*rig.fs.failed().borrow());
    rig.fs.close().await.unwrap();
}
