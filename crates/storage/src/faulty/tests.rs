//! The suite through the wrapper, and each fault (Architecture section 8).

use std::future::ready;

use bytes::Bytes;

use super::*;
use crate::{BoxFuture, Keyspace, Sealed, SegmentId, Segments, memory::Memory, suite};

fn subject() -> (suite::Subject, ()) {
    let memory = Memory::new();
    let open = move || -> BoxFuture<'static, Opening> {
        let faults = Faults::new(Env::real());
        Box::pin(ready(faults.wrap(memory.open())))
    };
    (Box::new(open), ())
}

// Without faults in its plan the wrapper changes nothing.
suite::suite!(subject());

fn store() -> (Memory, Faults, Arc<dyn Shard>, Arc<dyn Segments>) {
    let (memory, faults) = (Memory::new(), Faults::new(Env::real()));
    let (shard, segments) = faults.wrap(memory.open());
    (memory, faults, shard, segments)
}

fn put(token: u128) -> Batch {
    let mut batch = Batch::new(token);
    batch.put(Keyspace::Records, "key", token.to_be_bytes().to_vec());
    batch
}

/// Architecture section 4: an unknown outcome is decided by the token after reopening, whichever it was.
#[tokio::test]
async fn a_cut_leaves_an_outcome_that_the_token_decides() {
    for (fault, durable) in [(CommitFault::CutBefore, false), (CommitFault::CutAfter, true)] {
        let (memory, faults, shard, _) = store();
        faults.commits([CommitFault::Pass, fault]);
        assert!(shard.commit(put(1)).await.is_ok());
        assert_eq!(shard.commit(put(2)).await, Err(CommitError::Unknown(2)));
        assert!(*shard.fenced().borrow());
        assert_eq!(shard.commit(put(3)).await, Err(CommitError::Fenced));
        assert!(shard.get(Keyspace::Records, b"key").await.is_err());

        let (shard, _) = memory.open();
        assert!(shard.committed(1).await.unwrap());
        assert_eq!(shard.committed(2).await.unwrap(), durable);
    }
}

/// Architecture section 8: commits held in the queue are lost by a cut and kept by a release.
#[tokio::test]
async fn held_commits_wait_for_release_or_cut() {
    let (memory, faults, shard, _) = store();
    faults.hold_commits();
    let (one, two) = (shard.commit(put(1)), shard.commit(put(2)));
    assert_eq!(faults.held(), 2);
    faults.release();
    assert!(one.await.unwrap() < two.await.unwrap());
    faults.hold_commits();
    let lost = shard.commit(put(3));
    faults.cut();
    assert_eq!(lost.await, Err(CommitError::Unknown(3)));
    assert!(!memory.open().0.committed(3).await.unwrap());
}

/// Architecture section 8: puts overtake each other, fail, and are cut; reads fail and never answer at once.
#[tokio::test]
async fn puts_and_reads_fail_as_planned() {
    let (_memory, faults, _, segments) = store();
    let bytes = |byte: u8| vec![Sealed::from(Bytes::from(vec![byte; 10]))];
    faults.puts([PutFault::Late(Duration::from_millis(20)), PutFault::Pass, PutFault::Refuse(StorageError::NoSpace)]);
    let (late, first) = (segments.put(bytes(1)), segments.put(bytes(2)).await.unwrap());
    assert_eq!(segments.put(bytes(3)).await, Err(StorageError::NoSpace));
    let late = late.await.unwrap();
    assert!(first[0].offset < late[0].offset);

    faults.never_now(true);
    assert_eq!(segments.read_now(&late[0], 0..10, &mut [0; 10]).unwrap(), Now::WouldBlock);
    faults.reads([ReadFault::Fail(StorageError::NoSpace)]);
    assert_eq!(segments.read(&late[0], 0..10).await, Err(StorageError::NoSpace));
    assert_eq!(segments.read(&late[0], 0..10).await.unwrap(), vec![1; 10]);
    faults.puts([PutFault::Cut]);
    assert!(segments.put(bytes(4)).await.is_err());
    assert!(segments.read(&late[0], 0..10).await.is_err());
}

/// Architecture section 8: a director sees every call that waits, copies and deletions among them, and a cut before or
/// after each does or does not do it.
#[tokio::test]
async fn a_director_decides_over_each_call() {
    let (memory, faults, shard, segments) = store();
    let one = segments.put(vec![Sealed::from(Bytes::from_static(b"one"))]).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    faults.direct(move |call| {
        let (name, verdict) = match call {
            Call::Commit(_) => ("commit", Verdict::Unknown { done: true }),
            Call::Put(_) => ("put", Verdict::NoSpace),
            Call::Copy(_) => ("copy", Verdict::Fail),
            Call::Delete(_) => ("delete", Verdict::CutBefore),
            Call::Read => ("read", Verdict::NoSpace),
        };
        log.lock().push(name);
        verdict
    });
    assert_eq!(shard.commit(put(1)).await, Err(CommitError::Unknown(1)));
    assert!(shard.get(Keyspace::Records, b"key").await.unwrap().is_some());
    assert!(!*shard.fenced().borrow());
    assert_eq!(segments.put(vec![Sealed::from(Bytes::from_static(b"two"))]).await, Err(StorageError::NoSpace));
    assert!(matches!(segments.copy(one.clone()).await, Err(StorageError::Io { .. })));
    assert!(matches!(segments.delete(SegmentId::new(0, 0)).await, Err(StorageError::Stopped(_))));
    assert_eq!(*seen.lock(), ["commit", "read", "put", "copy", "delete"]);

    for (verdict, deleted) in [(Verdict::CutBefore, false), (Verdict::CutAfter, true)] {
        let faults = Faults::new(Env::real());
        let (_, segments) = faults.wrap(memory.open());
        faults.direct(move |_| verdict);
        assert!(segments.delete(one[0].segment).await.is_err());
        let (_, segments) = memory.open();
        assert_eq!(segments.read(&one[0], 0..3).await.is_err(), deleted);
    }
}

/// Architecture section 4: a commit that is done late does not let later ones overtake it.
#[tokio::test]
async fn commits_done_late_keep_their_order() {
    let (_memory, faults, shard, _) = store();
    faults.commits([CommitFault::DoneLate(Duration::from_millis(20))]);
    let (one, two) = (shard.commit(put(1)), shard.commit(put(2)));
    assert!(shard.get(Keyspace::Records, b"key").await.unwrap().is_none());
    assert!(one.await.unwrap() < two.await.unwrap());
    assert_eq!(shard.get(Keyspace::Records, b"key").await.unwrap().unwrap()[..], 2_u128.to_be_bytes());
}
