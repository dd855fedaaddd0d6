//! Byte-range locks against a naive model: an array of bytes, each with its holders. RFC 8881, sections 9.5 and 18.10 to 18.12.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod scene;

use std::sync::Arc;

use nfs_state::{Client, Effects, FileState, LockRequest, LockTest, Locker, StateError};
use nfs_wire::nfs4::{NfsLockType4, Stateid4};
use proptest::prelude::*;
use scene::{at, files, open, ready_client, server};

const FILE: u64 = 1;
const BYTES: usize = 24;
const OWNERS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Lock { owner: usize, write: bool, first: usize, length: usize },
    Unlock { owner: usize, first: usize, length: usize },
    Test { owner: usize, write: bool, first: usize, length: usize },
}

/// What each owner holds on each byte: nothing, a read lock, a write lock.
type Model = [[Option<bool>; BYTES]; OWNERS];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let part = (0..OWNERS, any::<bool>(), 0..BYTES, 1..=BYTES);
    let step = (0..3_u8, part).prop_map(|(kind, (owner, write, first, length))| match kind {
        0 => Step::Lock { owner, write, first, length },
        1 => Step::Unlock { owner, first, length },
        _ => Step::Test { owner, write, first, length },
    });
    prop::collection::vec(step, 1..60)
}

/// Two clients with two lock owners each; what is byte 0 of the model may lie anywhere in the file.
struct Subject {
    files: FileState,
    clients: [Arc<Client>; OWNERS],
    opens: [Stateid4; OWNERS],
    locks: [Option<Stateid4>; OWNERS],
    base: u64,
}

impl Subject {
    fn new(base: u64) -> Self {
        let (mut server, mut files) = (server(), files());
        let one = ready_client(&mut server, at(0), "one");
        let two = ready_client(&mut server, at(0), "two");
        let clients = [one.clone(), one, two.clone(), two];
        let opens =
            std::array::from_fn(|owner| open(&mut files, at(0), &clients[owner], "open", FILE, (3, 0)).unwrap());
        let opens: [Stateid4; OWNERS] = opens.map(|stateid: Stateid4| Stateid4 { seqid: 0, ..stateid });
        Self { files, clients, opens, locks: [None; OWNERS], base }
    }

    /// Ranges that reach the model's end go to the end of the file.
    fn range(&self, first: usize, length: usize) -> (u64, u64) {
        let offset = self.base + u64::try_from(first).unwrap();
        let length = if first + length >= BYTES { u64::MAX } else { u64::try_from(length).unwrap() };
        (offset, length)
    }

    fn name(owner: usize) -> [u8; 1] {
        [b'0' + u8::try_from(owner).unwrap()]
    }

    fn lock(&mut self, owner: usize, write: bool, (offset, length): (u64, u64)) -> bool {
        let name = Self::name(owner);
        let locker = match self.locks[owner] {
            Some(stateid) => Locker::Known { stateid },
            None => Locker::FromOpen { stateid: self.opens[owner], owner: &name },
        };
        let kind = if write { NfsLockType4::Write } else { NfsLockType4::Read };
        let request = LockRequest { file: FILE, kind, offset, length, reclaim: false, locker };
        match self.files.lock(at(0), &self.clients[owner], &request, &mut Effects::default()) {
            Ok(stateid) => {
                self.locks[owner] = Some(stateid);
                true
            }
            Err(StateError::Denied(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn unlock(&mut self, owner: usize, range: (u64, u64)) {
        if let Some(stateid) = self.locks[owner] {
            self.locks[owner] = Some(self.files.locku(&self.clients[owner], FILE, &stateid, range).unwrap());
        }
    }

    fn test(&mut self, owner: usize, write: bool, (offset, length): (u64, u64)) -> bool {
        let name = Self::name(owner);
        let kind = if write { NfsLockType4::Writew } else { NfsLockType4::Readw };
        let test = LockTest { file: FILE, kind, offset, length, owner: &name };
        match self.files.lockt(at(0), &self.clients[owner], &test, &mut Effects::default()) {
            Ok(()) => true,
            Err(StateError::Denied(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_free(model: &Model, owner: usize, write: bool, first: usize, length: usize) -> bool {
    let bytes = first..(first + length).min(BYTES);
    (0..OWNERS)
        .filter(|other| *other != owner)
        .all(|other| bytes.clone().all(|byte| model[other][byte].is_none_or(|held_write| !write && !held_write)))
}

fn mark(model: &mut Model, owner: usize, first: usize, length: usize, what: Option<bool>) {
    model[owner][first..(first + length).min(BYTES)].fill(what);
}

fn runs_as_the_model(base: u64, steps: &[Step]) {
    let mut subject = Subject::new(base);
    let mut model: Model = [[None; BYTES]; OWNERS];
    for step in steps {
        match *step {
            Step::Lock { owner, write, first, length } => {
                let free = is_free(&model, owner, write, first, length);
                assert_eq!(subject.lock(owner, write, subject.range(first, length)), free, "{step:?}");
                if free {
                    mark(&mut model, owner, first, length, Some(write));
                }
            }
            Step::Unlock { owner, first, length } => {
                subject.unlock(owner, subject.range(first, length));
                mark(&mut model, owner, first, length, None);
            }
            Step::Test { owner, write, first, length } => {
                let free = is_free(&model, owner, write, first, length);
                assert_eq!(subject.test(owner, write, subject.range(first, length)), free, "{step:?}");
            }
        }
    }
    // Each byte, as every owner sees it; and neighbours of a kind are one lock, so that the quota counts what is there.
    for owner in 0..OWNERS {
        for byte in 0..BYTES {
            for write in [false, true] {
                let free = is_free(&model, owner, write, byte, 1);
                assert_eq!(subject.test(owner, write, subject.range(byte, 1)), free, "owner {owner}, byte {byte}");
            }
        }
    }
    let runs_of = |held: &[Option<bool>; BYTES]| {
        (0..BYTES).filter(|byte| held[*byte].is_some() && (*byte == 0 || held[*byte] != held[*byte - 1])).count()
    };
    assert_eq!(subject.files.counts().1, model.iter().map(runs_of).sum::<usize>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// RFC 8881 §9.5: locks split, shrink, grow and merge byte by byte as POSIX has it, at the start of a file.
    #[test]
    fn ranges_behave_byte_by_byte(steps in steps()) {
        runs_as_the_model(0, &steps);
    }

    /// RFC 8881 §18.10.3: the same at the very end of the range of offsets.
    #[test]
    fn ranges_behave_at_the_end_of_the_offsets(steps in steps()) {
        runs_as_the_model(u64::MAX - u64::try_from(BYTES).unwrap() + 1, &steps);
    }
}
