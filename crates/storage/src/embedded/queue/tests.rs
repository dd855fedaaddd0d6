//! The queue without its thread: time limit and bounds (Architecture section 4).

use std::time::Duration;

use env::Instant;

use super::*;
use crate::{Keyspace, embedded::COMMIT_LIMIT};

fn batch(token: u128, bytes: usize) -> Batch {
    let mut batch = Batch::new(token);
    batch.put(Keyspace::Records, "key", vec![0; bytes]);
    batch
}

/// Architecture section 4: a commit over 30 s fails the shard; what was in the sync is unknown, what waited is not done.
#[tokio::test]
async fn an_overdue_commit_answers_everybody() {
    let queue = Queue::default();
    let (in_flight, waiting) = (queue.push(batch(1, 10)), queue.push(batch(2, 10)));
    {
        let mut state = queue.state.lock();
        let first = state.waiting.pop_front().unwrap();
        state.in_flight.push((first.batch.token, first.answer));
    }
    assert!(!queue.busy.is_overdue(Instant::from_nanoseconds(u64::MAX)));
    let running = queue.busy.start_at(Instant::from_nanoseconds(1_000));
    let limit = Instant::from_nanoseconds(1_000) + COMMIT_LIMIT;
    assert!(!queue.busy.is_overdue(limit));
    assert!(queue.busy.is_overdue(limit + Duration::from_nanos(1)));
    drop(running);
    assert!(!queue.busy.is_overdue(limit + Duration::from_nanos(1)));

    queue.fail_all();
    assert_eq!(in_flight.await.unwrap(), Err(CommitError::Unknown(1)));
    assert_eq!(waiting.await.unwrap(), Err(CommitError::Fenced));
    assert_eq!(queue.push(batch(3, 10)).await.unwrap(), Err(CommitError::Fenced));
}

/// Architecture section 4: one sync takes whole batches up to its bound, in their order, and always at least one.
#[test]
fn a_group_is_bounded() {
    let queue = Queue::default();
    let sizes = [SYNC_BYTES / 2, SYNC_BYTES / 2 - 100, 200, SYNC_BYTES * 2, 1];
    let _answers: Vec<_> = (0..).zip(sizes).map(|(token, bytes)| queue.push(batch(token, bytes))).collect();
    let mut state = queue.state.lock();
    let mut groups = Vec::new();
    while !state.waiting.is_empty() {
        let group = take_group(&mut state.waiting);
        groups.push(group.into_iter().map(|waiting| waiting.batch.token).collect::<Vec<_>>());
    }
    assert_eq!(groups, [vec![0, 1], vec![2], vec![3], vec![4]]);
}
