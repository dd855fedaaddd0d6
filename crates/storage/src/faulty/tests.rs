//! The suite through the wrapper, and each fault (Architecture section 8).

use super::*;
use crate::{memory::Memory, suite};

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
