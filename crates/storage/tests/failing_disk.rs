//! A disk that refuses writes: the shard fails for good and says so, and a reopened one holds what was acknowledged
//! (Architecture section 4: an error of the disk is never retried into success).
//!
//! The refusal is a limit on file sizes for this whole process, so this test has a program of its own.
#![allow(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use env::Env;
use storage::{Batch, Budgets, CommitError, Engine, Keyspace, Sealed, StorageError};

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

fn put(token: u128, key: &str) -> Batch {
    let mut batch = Batch::new(token);
    batch.put(Keyspace::Records, key.to_owned(), vec![1; 20_000]);
    batch
}

/// Architecture section 4: EIO or a failed sync stops the shard; the outcome in flight is unknown, and nothing later is taken,
/// even when the disk works again.
#[tokio::test]
async fn a_failed_write_ends_the_opening() {
    let kept = tempfile::tempdir().unwrap();
    let dir = kept.path().join("shard");
    let engine = Engine::new(Budgets::default(), Env::real()).unwrap();

    let (shard, segments) = engine.create(&dir).await.unwrap();
    shard.commit(put(1, "before")).await.unwrap();
    refuse_writes(true);
    assert_eq!(shard.commit(put(2, "during")).await, Err(CommitError::Unknown(2)));
    refuse_writes(false);
    assert!(*shard.fenced().borrow());
    assert_eq!(shard.commit(put(3, "after")).await, Err(CommitError::Fenced));
    let late = segments.put(vec![Sealed::from(Bytes::from("x"))]).await;
    assert!(matches!(late, Err(StorageError::Stopped(reason)) if reason.contains("commit failed")));
    assert!(shard.close().await.is_ok(), "an ended shard is closed already");
    drop((shard, segments));

    // What the failed sync left in memory counts only when it has been written again, so until then nothing opens.
    refuse_writes(true);
    let refused = loop {
        match engine.open(&dir).await.err().unwrap() {
            StorageError::Locked { .. } => {}
            error => break error,
        }
    };
    refuse_writes(false);
    assert!(matches!(&refused, StorageError::Io { path, .. } if path.ends_with("0.jnl")), "{refused}");

    let (shard, segments) = engine.open(&dir).await.unwrap();
    assert!(shard.get(Keyspace::Records, b"before").await.unwrap().is_some());
    assert!(shard.get(Keyspace::Records, b"after").await.unwrap().is_none());
    let during = shard.get(Keyspace::Records, b"during").await.unwrap().is_some();
    assert_eq!(shard.committed(2).await.unwrap(), during);

    // The same for a segment: its error ends the shard too, since data and metadata share a fate.
    segments.put(vec![Sealed::from(Bytes::from("x"))]).await.unwrap();
    refuse_writes(true);
    assert!(segments.put(vec![Sealed::from(Bytes::from(vec![1; 10_000]))]).await.is_err());
    refuse_writes(false);
    let mut fenced = shard.fenced();
    fenced.wait_for(|fenced| *fenced).await.unwrap();
    assert_eq!(shard.commit(put(4, "later")).await, Err(CommitError::Fenced));
}
