//! What is done to a shard while everything is recorded: batches from several tasks at once, segments of many sizes,
//! deletions of segments, closes in good order and not, reopenings.

use std::{cell::RefCell, path::Path, time::Duration};

use env::Env;
use storage::{Batch, Budgets, CommitError, Engine, Keyspace, Opening, Place, Sealed, SealedBuffer, SegmentId};

use crate::{
    log::{Change, Note, Value},
    random::Random,
    recorder::Notes,
};

/// The record, in both keyspaces, that says which batch was the last; each batch writes it.
pub(crate) const LAST: &str = "last";

/// Small bounds, so that flushes and rolling segments happen all the time.
pub(crate) fn engine() -> Engine {
    let budgets =
        Budgets { memtable_bytes: 48 << 10, segment_bytes: 256 << 10, reserve_bytes: 0, ..Budgets::default() };
    Engine::new(budgets, Env::real()).unwrap()
}

/// Which kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Much of everything.
    Mixed,
    /// So many small batches that the floor rises and tables are written because of their number.
    Many,
    /// Large values, until journals are rotated, which takes 64 MB.
    Rotation,
}

/// The token of a batch.
pub(crate) fn token(batch: u64) -> u128 {
    u128::from(batch) << 64 | 0x7e57
}

pub(crate) fn keyspace(inline: bool) -> Keyspace {
    if inline { Keyspace::Inline } else { Keyspace::Records }
}

/// A batch as the shard takes it.
pub(crate) fn batch(number: u64, changes: &[Change]) -> Batch {
    let mut batch = Batch::new(token(number));
    for change in changes {
        match change.value {
            Some(value) => batch.put(keyspace(change.inline), change.key.clone(), value.bytes()),
            None => batch.delete(keyspace(change.inline), change.key.clone()),
        }
    }
    for inline in [false, true] {
        batch.put(keyspace(inline), LAST, number.to_be_bytes().to_vec());
    }
    batch
}

/// What all tasks of an opening share.
struct Session<'a> {
    shard: &'a Opening,
    notes: &'a Notes,
    state: &'a RefCell<State>,
    env: &'a Env,
}

struct State {
    random: Random,
    last: u64,
    places: Vec<Place>,
}

/// Works on the shard in `dir`, which is made if it is not there; `last` batches were given to it before.
pub(crate) fn run(dir: &Path, notes: &Notes, seed: u64, last: u64, work: Work) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let engine = engine();
        let env = Env::real();
        let state = RefCell::new(State { random: Random::new(seed), last, places: Vec::new() });
        let sessions = if work == Work::Mixed { 6 } else { 2 };
        for _ in 0..sessions {
            let shard = if Engine::exists(dir) {
                engine.open(dir).await.expect("a shard that was not harmed opens")
            } else {
                let made = engine.create(dir).await.expect("a shard is made");
                notes.add(Note::Created);
                made
            };
            let session = Session { shard: &shard, notes, state: &state, env: &env };
            match work {
                Work::Mixed => session.mixed().await,
                Work::Many => session.many().await,
                Work::Rotation => session.rotation().await,
            }
            // Three ways to go: in good order, with batches on their way, and with nothing on its way.
            let way = state.borrow_mut().random.below(4);
            match way {
                0 | 1 => shard.0.close().await.unwrap(),
                2 => drop(session.submit(5)),
                _ => {}
            }
        }
    });
}

type Commit = storage::BoxFuture<'static, Result<storage::Seq, CommitError>>;

impl Session<'_> {
    async fn mixed(&self) {
        tokio::join!(self.commit(30), self.commit(30), self.commit(30), self.put(12), self.delete(2));
    }

    /// Gives a random batch to the shard.
    fn submit(&self, keys: usize) -> (u64, Commit) {
        let changes = self.changes(keys);
        self.submit_these(changes)
    }

    fn submit_these(&self, changes: Vec<Change>) -> (u64, Commit) {
        let number = {
            let mut state = self.state.borrow_mut();
            state.last += 1;
            state.last
        };
        let batch = batch(number, &changes);
        // No other task runs between the two, so the numbers are the order of the calls.
        self.notes.add(Note::Submitted { changes });
        (number, self.shard.0.commit(batch))
    }

    fn changes(&self, keys: usize) -> Vec<Change> {
        let random = &mut self.state.borrow_mut().random;
        let first = random.below(60);
        // A change that is alone is small: there are thousands of those.
        let kinds = if keys == 1 { 2 } else { 4 };
        let change = |nth| {
            let length =
                [random.below(300), random.below(300), random.below(3000), random.below(20_000)][random.below(kinds)];
            let value = Value { seed: random.next(), length: length.try_into().unwrap() };
            // Keys of one batch all differ.
            let key = format!("key{}", (first + nth * 7) % 60);
            Change { inline: random.percent(30), key, value: (!random.percent(25)).then_some(value) }
        };
        (0..keys).map(change).collect()
    }

    /// Batches, up to four on their way at once.
    async fn commit(&self, rounds: usize) {
        for _ in 0..rounds {
            let (count, pause) = {
                let random = &mut self.state.borrow_mut().random;
                (1 + random.below(4), random.percent(20))
            };
            let mut commits = Vec::new();
            for _ in 0..count {
                let keys = 1 + self.state.borrow_mut().random.below(6);
                commits.push(self.submit(keys));
            }
            for (number, commit) in commits {
                commit.await.expect("a commit");
                self.notes.add(Note::Committed { batch: number });
            }
            if pause {
                self.env.sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Things for segments, some so large that they go past the cache.
    async fn put(&self, rounds: usize) {
        for _ in 0..rounds {
            let values: Vec<Value> = {
                let random = &mut self.state.borrow_mut().random;
                let count = 1 + random.below(3);
                let value = |_: usize| {
                    let length = if random.percent(15) { 65_536 + random.below(9000) } else { 1 + random.below(9000) };
                    Value { seed: random.next(), length: length.try_into().unwrap() }
                };
                (0..count).map(value).collect()
            };
            let sealed = values.iter().map(|value| sealed(*value)).collect();
            let places = self.shard.1.put(sealed).await.expect("a put");
            for (place, value) in places.iter().zip(values) {
                self.notes.add(Note::Put { place: place.encode(), value });
            }
            self.state.borrow_mut().places.extend(places);
            self.env.sleep(Duration::from_millis(6)).await;
        }
    }

    /// Deletes segments that are written no more.
    async fn delete(&self, rounds: usize) {
        for _ in 0..rounds {
            self.env.sleep(Duration::from_millis(25)).await;
            let segment = {
                let state = &mut *self.state.borrow_mut();
                let newest = state.places.iter().map(|place| place.segment).max();
                let old: Vec<SegmentId> =
                    state.places.iter().map(|place| place.segment).filter(|segment| Some(*segment) != newest).collect();
                let Some(segment) = old.get(state.random.below(old.len())).copied() else { continue };
                state.places.retain(|place| place.segment != segment);
                segment
            };
            self.notes.add(Note::Deleting { segment: segment.0 });
            self.shard.1.delete(segment).await.expect("a deletion");
        }
    }

    async fn many(&self) {
        for _ in 0..600 {
            let commits: Vec<_> = (0..16).map(|_| self.submit(1)).collect();
            for (number, commit) in commits {
                commit.await.expect("a commit");
                self.notes.add(Note::Committed { batch: number });
            }
        }
    }

    async fn rotation(&self) {
        for round in 0..80_u64 {
            let seed = self.state.borrow_mut().random.next();
            let value = Some(Value { seed, length: 900_000 });
            let change = Change { inline: true, key: format!("large{}", round % 5), value };
            let (number, commit) = self.submit_these(vec![change]);
            commit.await.expect("a commit");
            self.notes.add(Note::Committed { batch: number });
        }
        self.commit(20).await;
    }
}

/// What goes into a segment: large things as they are sealed, in pages of their own.
fn sealed(value: Value) -> Sealed {
    let bytes = value.bytes();
    let mut buffer = SealedBuffer::new(bytes.len());
    buffer.copy_from_slice(&bytes);
    Sealed::from(buffer.freeze())
}
