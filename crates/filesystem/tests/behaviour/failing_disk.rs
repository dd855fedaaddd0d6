//! A disk that refuses writes, under the real engine (Architecture section 4: "An error of the disk is never made a success
//! by trying again"): the shard fails and says so, nobody is answered OK, and what was acknowledged is there afterwards.
//!
//! The refusal is a limit on file sizes for this whole process, so this test has a program of its own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use crate::rig::Rig;
use env::Env;
use filesystem::{FileSystem, FsError, Stability, fsck};
use storage::{Budgets, Engine, StorageError};

/// Lets every write of this process fail, or none.
fn refuse_writes(refuse: bool) {
    let most = if refuse { 0 } else { libc::RLIM_INFINITY };
    let limit = libc::rlimit { rlim_cur: most, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: ignoring a signal and lowering a soft limit of this process; the pointer is valid for the call.
    #[expect(unsafe_code, reason = "std has no setrlimit")]
    let result = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)
    };
    assert_eq!(result, 0);
}

/// The shard once whoever had it has let go of it.
async fn opening(engine: &Engine, dir: &std::path::Path) -> storage::Opening {
    loop {
        match engine.open(dir).await {
            Ok(opening) => return opening,
            Err(StorageError::Locked { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Architecture section 3, "A failed commit fails the shard": by a record that cannot be written, and by a segment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_refuses_writes_fails_the_shard_and_loses_nothing_acknowledged() {
    let kept = tempfile::tempdir().unwrap();
    let dir = kept.path().join("shard");
    let engine = Engine::new(Budgets::default(), Env::real()).unwrap();
    let mut rig = Rig::new().await;
    let mut parts = rig.parts();
    (parts.shard, parts.segments) = engine.create(&dir).await.unwrap();
    rig.fs = FileSystem::create(parts, rig.settings.clone()).await.unwrap();
    for (nth, bytes) in [(1_u8, 9_usize), (2, 300_000)] {
        let root = rig.root().await;
        let file = rig.file(&root, &format!("f{nth}")).await.unwrap();
        rig.write(&file, 0, &[nth; 200_000], Stability::FileSync).await.unwrap();
        rig.write(&file, 0, &vec![9; bytes], Stability::Unstable).await.unwrap();
        let mut failed = rig.fs.failed();
        refuse_writes(true);
        // The segment's own error may come before that of the shard.
        assert!(matches!(rig.commit(&file).await.err(), Some(FsError::Failed | FsError::Io(_))));
        refuse_writes(false);
        tokio::time::timeout(Duration::from_secs(10), failed.wait_for(|failed| *failed)).await.unwrap().unwrap();
        assert_eq!(rig.mkdir(&root, "later").await.err(), Some(FsError::Failed));
        assert_eq!(rig.read(&file, 0, 9).await.err(), Some(FsError::Failed));
        drop((root, file));

        rig.crash().await;
        let mut parts = rig.parts();
        (parts.shard, parts.segments) = opening(&engine, &dir).await;
        let report = fsck::check(parts, rig.settings.clone(), true).await.unwrap();
        assert!(report.is_clean(), "{:#?}", report.problems);
        let mut parts = rig.parts();
        (parts.shard, parts.segments) = opening(&engine, &dir).await;
        rig.fs = FileSystem::open(parts, rig.settings.clone()).await.unwrap();
        let file = rig.lookup(&rig.root().await, &format!("f{nth}")).await.unwrap();
        let found = rig.read(&file, 0, 1 << 20).await.unwrap();
        // The commit's outcome is unknown; the bytes behind it are not.
        let whole = vec![nth; 200_000];
        let committed = [vec![9; bytes], whole.get(bytes..).unwrap_or_default().to_vec()].concat();
        assert!(found == whole || found == committed);
    }
    rig.fs.close().await.unwrap();
}
