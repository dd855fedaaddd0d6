//! What a check finds and what it repairs: Architecture section 3, "Checking". Every kind of damage that can be repaired
//! without guessing is made on purpose, found, repaired and gone; what cannot be is told and left alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::sync::{Arc, Mutex};

use crate::rig::{
    Rig,
    forger::{self, key_of},
};
use bytes::Bytes;
use filesystem::{
    FileSystem, FsError, Stability,
    fsck::{self, Finding, Observer, Options, Phase, Problem, Progress, Repair, Repairing, Report, Unobserved},
};
use storage::{
    BoxFuture, CommitError, Keyspace, Sealed,
    faulty::{CommitFault, Faults},
};

/// A file system with one of everything, and the numbers of what is in it.
struct Filled {
    rig: Rig,
    directory: u64,
    small: u64,
    large: u64,
    /// Removed while somebody may still reclaim it.
    orphan: u64,
}

const LARGE: usize = 700_000;

/// No object has this number.
const NOBODY: u64 = 5000;

async fn filled() -> Filled {
    let rig = Rig::new().await;
    let root = rig.root().await;
    let directory = rig.mkdir(&root, "directory").await.unwrap();
    rig.mkdir(&directory, "empty").await.unwrap();
    let small = rig.file(&directory, "small").await.unwrap();
    rig.write(&small, 0, b"a small content", Stability::FileSync).await.unwrap();
    rig.link(&small, &root, "another name").await.unwrap();
    let large = rig.file(&directory, "large").await.unwrap();
    rig.write(&large, 0, &[7; LARGE], Stability::FileSync).await.unwrap();
    let orphan = rig.file(&root, "orphan").await.unwrap();
    rig.write(&orphan, 0, b"going", Stability::FileSync).await.unwrap();
    rig.remove(&root, "orphan").await.unwrap();
    let mut ids = Vec::new();
    for node in [&directory, &small, &large] {
        ids.push(rig.attributes(node).await.unwrap().fileid);
    }
    let records = forger::stored(&rig, Keyspace::Records, b"O").await;
    let orphan = u64::from_be_bytes(records[0].0[1..].try_into().unwrap());
    Filled { directory: ids[0], small: ids[1], large: ids[2], orphan, rig }
}

impl Filled {
    async fn examine(&self, repair: bool) -> Report {
        let options = Options { open_data: true, repair };
        fsck::examine(self.rig.parts(), self.rig.settings.clone(), options, &Unobserved).await.unwrap()
    }

    /// Everything is as it was made, and the file system goes on.
    async fn serves(&mut self) {
        self.rig.fs = FileSystem::open(self.rig.parts(), self.rig.settings.clone()).await.unwrap();
        let root = self.rig.root().await;
        let directory = self.rig.lookup(&root, "directory").await.unwrap();
        assert_eq!(self.rig.names(&root, 9).await.unwrap(), ["another name", "directory"]);
        assert_eq!(self.rig.names(&directory, 9).await.unwrap(), ["empty", "large", "small"]);
        let small = self.rig.lookup(&directory, "small").await.unwrap();
        assert_eq!(self.rig.read(&small, 0, 99).await.unwrap(), b"a small content");
        assert_eq!(self.rig.attributes(&small).await.unwrap().links, 2);
        let large = self.rig.lookup(&directory, "large").await.unwrap();
        assert!(self.rig.read(&large, 0, 1 << 20).await.unwrap() == vec![7; LARGE]);
        self.rig.write(&small, 0, b"a later content", Stability::FileSync).await.unwrap();
        self.rig.write(&small, 0, b"a small content", Stability::FileSync).await.unwrap();
    }

    async fn inode(&self, fileid: u64, change: impl FnOnce(&mut [u8])) {
        forger::forge_inode(&self.rig, fileid, |record| {
            change(record);
            true
        })
        .await;
    }

    async fn damage(&self, damage: Damage) {
        let rig = &self.rig;
        match damage {
            Damage::LiveBytes | Damage::LiveBytesUnreadable => {
                let (key, value) = forger::stored(rig, Keyspace::Records, b"G").await.remove(0);
                if damage == Damage::LiveBytesUnreadable {
                    return forger::flip(rig, &key).await;
                }
                let mut record = forger::open(&key, &value);
                forger::add(&mut record, 0, 4112);
                forger::write(rig, &key, &record).await;
            }
            Damage::Totals => {
                let mut record = forger::read(rig, b"U").await;
                forger::add(&mut record, 1, 3);
                forger::add(&mut record, 9, 4096);
                forger::write(rig, b"U", &record).await;
            }
            Damage::FileLinks => self.inode(self.small, |record| record[forger::LINKS + 3] = 9).await,
            Damage::DirectoryLinks => self.inode(self.directory, |record| record[forger::LINKS + 3] = 7).await,
            Damage::FileCounts => self.inode(self.large, |record| forger::add(record, forger::MAPPED, 1 << 20)).await,
            Damage::DirectoryCounts => {
                self.inode(self.directory, |record| {
                    forger::add(record, forger::MAPPED, 2);
                    forger::add(record, forger::ENTRIES, 1);
                    forger::add(record, forger::NAME_BYTES, 9);
                })
                .await;
            }
            Damage::Inline => {
                let key = [self.small.to_be_bytes(), 999_u64.to_be_bytes()].concat();
                forger::store(rig, Keyspace::Inline, &key, Some(Bytes::from_static(b"nobody's"))).await;
            }
            Damage::Map => {
                for fileid in [self.small, self.large] {
                    for (key, value) in forger::stored(rig, Keyspace::Records, &key_of(b'M', fileid)).await {
                        let record = forger::open(&key, &value);
                        let key = [&key_of(b'M', NOBODY + fileid)[..], &key[9..]].concat();
                        forger::write(rig, &key, &record).await;
                    }
                }
                for (key, value) in forger::stored(rig, Keyspace::Inline, &self.small.to_be_bytes()).await {
                    let key = [&(NOBODY + self.small).to_be_bytes()[..], &key[8..]].concat();
                    forger::store(rig, Keyspace::Inline, &key, Some(value)).await;
                }
            }
            Damage::OrphanOfNobody => forger::write(rig, &key_of(b'O', NOBODY), &[1, 1]).await,
            Damage::OrphanOfNamed => forger::write(rig, &key_of(b'O', self.small), &[1, 1]).await,
            Damage::OrphanOfNothing => forger::write(rig, &key_of(b'O', self.large), &[1, 0]).await,
            Damage::OrphanMissing => {
                forger::store(rig, Keyspace::Records, &key_of(b'O', self.orphan), None).await;
            }
            Damage::OrphanLinks => self.inode(self.orphan, |record| record[forger::LINKS + 3] = 1).await,
            Damage::Markers => {
                let key = [&key_of(b'D', NOBODY)[..], &77_u64.to_be_bytes()].concat();
                forger::write(rig, &key, &[1, 1]).await;
            }
            Damage::Reply => {
                forger::store(rig, Keyspace::Records, &[b'R'; 21], Some(Bytes::from_static(&[1; 99]))).await
            }
            Damage::Protocol => {
                // It opens, and nobody who looks for it finds it there.
                let record = [&[1, 0, 1][..], b"kv"].concat();
                forger::write(rig, &[b'P'; 18], &record).await;
            }
        }
    }
}

/// Damage that is repaired from other records, or is of no use to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    LiveBytes,
    LiveBytesUnreadable,
    Totals,
    FileLinks,
    DirectoryLinks,
    FileCounts,
    DirectoryCounts,
    Inline,
    Map,
    OrphanOfNobody,
    OrphanOfNamed,
    OrphanOfNothing,
    OrphanMissing,
    OrphanLinks,
    Markers,
    Reply,
    Protocol,
}

const ALL: [Damage; 17] = [
    Damage::LiveBytes,
    Damage::LiveBytesUnreadable,
    Damage::Totals,
    Damage::FileLinks,
    Damage::DirectoryLinks,
    Damage::FileCounts,
    Damage::DirectoryCounts,
    Damage::Inline,
    Damage::Map,
    Damage::OrphanOfNobody,
    Damage::OrphanOfNamed,
    Damage::OrphanOfNothing,
    Damage::OrphanMissing,
    Damage::OrphanLinks,
    Damage::Markers,
    Damage::Reply,
    Damage::Protocol,
];

async fn everything(rig: &Rig) -> [forger::Records; 2] {
    [forger::stored(rig, Keyspace::Records, b"").await, forger::stored(rig, Keyspace::Inline, b"").await]
}

/// Architecture section 3, "Checking": what can be repaired without guessing is found without a change, repaired, and
/// gone at the next check; contents, names and links are untouched.
#[tokio::test]
async fn each_kind_of_damage_is_repaired() {
    for damage in ALL {
        let mut filled = filled().await;
        filled.damage(damage).await;
        let before = everything(&filled.rig).await;
        let found = filled.examine(false).await;
        assert!(found.is_repairable(), "{damage:?}: {:#?}", found.problems);
        assert!(everything(&filled.rig).await == before, "{damage:?}: a check wrote something");
        let repaired = filled.examine(true).await;
        assert!(repaired.is_clean() && repaired.repairs > 0, "{damage:?}: {repaired:#?}");
        assert_eq!(repaired.data_bytes_opened, found.data_bytes_opened);
        let again = filled.examine(true).await;
        assert!(again.is_clean() && again.repairs == 0, "{damage:?}: {again:#?}");
        filled.serves().await;
        filled.rig.fs.collect_orphans();
        filled.rig.fs.close().await.unwrap();
        let after = filled.examine(false).await;
        assert!(after.is_clean(), "{damage:?}: {:#?}", after.problems);
    }
}

/// Architecture section 3, "Checking": a repair that a power failure interrupts anywhere is finished by the next one.
#[tokio::test]
async fn an_interrupted_repair_is_finished_by_the_next() {
    // Two of them together say nothing any more: no orphan record, but a link.
    let alone = [Damage::LiveBytesUnreadable, Damage::OrphanMissing];
    let mut commits = 0;
    let mut interrupted = true;
    while interrupted {
        for cut in [CommitFault::CutBefore, CommitFault::CutAfter] {
            let mut filled = filled().await;
            for damage in ALL.into_iter().filter(|damage| !alone.contains(damage)) {
                filled.damage(damage).await;
            }
            let faults = Faults::new(filled.rig.env.clone());
            faults.commits(std::iter::repeat_n(CommitFault::Pass, commits).chain([cut]));
            let mut parts = filled.rig.parts();
            (parts.shard, parts.segments) = faults.wrap((parts.shard, parts.segments));
            let options = Options { open_data: true, repair: true };
            let outcome = fsck::examine(parts, filled.rig.settings.clone(), options, &Unobserved).await;
            interrupted = outcome.is_err();
            let between = filled.examine(false).await;
            assert!(between.is_clean() || between.is_repairable(), "{commits}: {:#?}", between.problems);
            let repaired = filled.examine(true).await;
            assert!(repaired.is_clean(), "{commits}: {:#?}", repaired.problems);
            filled.serves().await;
        }
        commits += 1;
    }
    assert!(commits > ALL.len(), "{commits}");
}

/// Architecture section 3, "Data": a segment that no map names is what an interrupted flush leaves; it is no damage, is
/// told, and is freed by a repair.
#[tokio::test]
async fn segments_that_nothing_names_are_no_damage() {
    let mut filled = filled().await;
    let (_, segments) = filled.rig.memory.open();
    segments.put(vec![Sealed::from(Bytes::from_static(&[1; 5000]))]).await.unwrap();
    let found = filled.examine(false).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.unused_segments, found.unused_segment_bytes), (1, 5000));
    let repaired = filled.examine(true).await;
    assert_eq!((repaired.repairs, repaired.unused_segments, repaired.segments), (1, 0, found.segments - 1));
    filled.serves().await;
}

/// Architecture section 5, "Rollback": evidence of an older record is never repaired, and nothing is freed on the word of
/// records that do not fit.
#[tokio::test]
async fn what_would_have_to_be_guessed_stays_and_is_told() {
    type Make = fn(&Filled) -> BoxFuture<'_, ()>;
    let kinds: [(&str, Make); 9] = [
        ("an entry removed", |filled| {
            Box::pin(async {
                let prefix = key_of(b'D', filled.directory);
                let (key, _) = forger::stored(&filled.rig, Keyspace::Records, &prefix).await.remove(0);
                forger::store(&filled.rig, Keyspace::Records, &key, None).await;
            })
        }),
        ("an entry of the map removed", |filled| {
            Box::pin(async {
                let (key, _) =
                    forger::stored(&filled.rig, Keyspace::Records, &key_of(b'M', filled.large)).await.remove(0);
                forger::store(&filled.rig, Keyspace::Records, &key, None).await;
            })
        }),
        ("an inode removed", |filled| {
            Box::pin(forger::store(&filled.rig, Keyspace::Records, b"I\0\0\0\0\0\0\0\x02", None))
        }),
        ("an inode that does not open", |filled| {
            Box::pin(async { forger::flip(&filled.rig, &key_of(b'I', filled.small)).await })
        }),
        ("an object without its name", |filled| {
            Box::pin(forger::forget_entry(&filled.rig, filled.directory, filled.large))
        }),
        ("a name without its object", |filled| {
            Box::pin(async {
                forger::forge_inode(&filled.rig, filled.large, |_| false).await;
                // Else it is also one of the totals.
                let mut usage = forger::read(&filled.rig, b"U").await;
                forger::add(&mut usage, 1, 1_u64.wrapping_neg());
                forger::write(&filled.rig, b"U", &usage).await;
            })
        }),
        ("counters put back", |filled| {
            Box::pin(async {
                let mut counters = vec![1];
                [9_u64, 2, 9, 9].iter().for_each(|value| counters.extend_from_slice(&value.to_be_bytes()));
                forger::write(&filled.rig, b"C", &counters).await;
            })
        }),
        ("a reply of another version", |filled| {
            Box::pin(forger::store(&filled.rig, Keyspace::Records, &[b'R'; 21], Some(Bytes::from_static(&[2; 99]))))
        }),
        ("a record of no known kind", |filled| {
            Box::pin(forger::store(&filled.rig, Keyspace::Records, b"Xy", Some(Bytes::from_static(b"?"))))
        }),
    ];
    for (kind, make) in kinds {
        let filled = filled().await;
        make(&filled).await;
        let found = filled.examine(false).await;
        assert!(!found.is_clean() && !found.is_repairable(), "{kind}: {:#?}", found.problems);
        let before = everything(&filled.rig).await;
        let after = filled.examine(true).await;
        let hopeless = |report: &Report| -> Vec<Finding> {
            report.problems.iter().filter(|found| found.repair.is_none()).cloned().collect()
        };
        assert!(hopeless(&found).iter().all(|problem| after.problems.contains(problem)), "{kind}: {after:#?}");
        let now = everything(&filled.rig).await;
        let gone = |keyspace: usize| -> Vec<Bytes> {
            let kept = |key: &Bytes| now[keyspace].iter().any(|(found, _)| found == key);
            before[keyspace].iter().map(|(key, _)| key.clone()).filter(|key| !kept(key)).collect()
        };
        assert_eq!(after.segments, found.segments, "{kind}");
        assert!(gone(0).is_empty() && gone(1).is_empty(), "{kind}: {:?} {:?}", gone(0), gone(1));
    }
}

/// docs/operations.md, "Checking": data that does not verify is told with its path, and stays as it is beside a repair.
#[tokio::test]
async fn damaged_data_is_told_with_its_path() {
    let filled = filled().await;
    let (key, value) = forger::stored(&filled.rig, Keyspace::Inline, &filled.small.to_be_bytes()).await.remove(0);
    let mut changed = value.to_vec();
    changed[3] ^= 4;
    forger::store(&filled.rig, Keyspace::Inline, &key, Some(changed.into())).await;
    filled.damage(Damage::Totals).await;
    for repair in [false, true, true] {
        let report = filled.examine(repair).await;
        let data: Vec<_> =
            report.problems.iter().filter(|found| matches!(found.problem, Problem::Data { .. })).collect();
        assert_eq!(data.len(), 1, "{:#?}", report.problems);
        assert!(matches!(data[0].path.as_deref(), Some("/directory/small" | "/another name")), "{data:#?}");
        assert!(data[0].repair.is_none() && data[0].cure().contains("backup"));
        assert_eq!(report.problems.len(), if repair { 1 } else { 2 });
    }
    // Without the data key the contents are not looked at, and the report says so.
    let report = fsck::check(filled.rig.parts(), filled.rig.settings.clone(), false).await.unwrap();
    assert!(report.is_clean() && !report.data_checked);
}

/// Notes what a check says of itself; refuses repairs if told so.
#[derive(Clone, Default)]
struct Notes {
    phases: Arc<Mutex<Vec<Progress>>>,
    repairs: Arc<Mutex<Vec<String>>>,
    refuse: bool,
}

struct Note(Arc<Mutex<Vec<String>>>, String);

impl Observer for Notes {
    fn progress(&self, progress: &Progress) {
        let mut phases = self.phases.lock().unwrap();
        match phases.last_mut() {
            Some(last) if last.phase == progress.phase => *last = *progress,
            _ => phases.push(*progress),
        }
    }

    fn begin<'a>(&'a self, repair: &'a Repair) -> BoxFuture<'a, Result<Box<dyn Repairing>, String>> {
        self.repairs.lock().unwrap().push(format!("begun {repair}"));
        let note = Note(self.repairs.clone(), repair.to_string());
        let outcome = if self.refuse { Err("the log is full".to_owned()) } else { Ok(Box::new(note) as _) };
        Box::pin(std::future::ready(outcome))
    }
}

impl Repairing for Note {
    fn done(self: Box<Self>, outcome: Result<(), &FsError>) {
        self.0.lock().unwrap().push(format!("{} {}", if outcome.is_ok() { "done" } else { "failed" }, self.1));
    }
}

/// Architecture section 6, "Audit": a repair is written down before it is made and completed after; what cannot be
/// written down is not done.
#[tokio::test]
async fn repairs_are_written_down_first() {
    let filled = filled().await;
    filled.damage(Damage::Totals).await;
    let before = everything(&filled.rig).await;
    let options = Options { open_data: false, repair: true };
    let examine = async |notes: &Notes, parts| fsck::examine(parts, filled.rig.settings.clone(), options, notes).await;
    let refusing = Notes { refuse: true, ..Notes::default() };
    assert!(
        matches!(examine(&refusing, filled.rig.parts()).await, Err(FsError::Io(why)) if why.contains("log is full"))
    );
    assert!(everything(&filled.rig).await == before);

    let failing = Notes::default();
    let faults = Faults::new(filled.rig.env.clone());
    faults.commits([CommitFault::Refuse(CommitError::NoSpace)]);
    let mut parts = filled.rig.parts();
    (parts.shard, parts.segments) = faults.wrap((parts.shard, parts.segments));
    assert_eq!(examine(&failing, parts).await.err(), Some(FsError::NoSpace));
    let said = failing.repairs.lock().unwrap().clone();
    assert!(said[0].starts_with("begun totals") && said[1].starts_with("failed totals"), "{said:?}");

    let notes = Notes::default();
    assert!(examine(&notes, filled.rig.parts()).await.unwrap().is_clean());
    let said = notes.repairs.lock().unwrap().clone();
    assert!(said.len() == 2 && said[0].starts_with("begun totals") && said[1].starts_with("done totals"), "{said:?}");
}

/// docs/operations.md, "Checking": a check says how far it has come, phase by phase.
#[tokio::test]
async fn progress_is_told_phase_by_phase() {
    let filled = filled().await;
    let notes = Notes::default();
    let options = Options { open_data: true, repair: false };
    fsck::examine(filled.rig.parts(), filled.rig.settings.clone(), options, &notes).await.unwrap();
    let phases = notes.phases.lock().unwrap().clone();
    let order: Vec<_> = phases.iter().map(|progress| progress.phase).collect();
    assert_eq!(order, [Phase::Objects, Phase::Names, Phase::Storage, Phase::Contents]);
    let contents = phases[3];
    assert_eq!((contents.done, contents.bytes), (contents.done_of, contents.bytes_of));
    assert!(contents.bytes > LARGE as u64);
    assert_eq!((phases[0].done_of, phases[1].done_of), (6, 5));
}

/// Architecture section 3, "Checking": segments are read in the order of offsets, whatever the order of files is.
#[tokio::test]
async fn data_is_read_in_the_order_of_offsets() {
    let rig = Rig::new().await;
    let root = rig.root().await;
    let mut files = Vec::new();
    for number in 0..6 {
        files.push(rig.file(&root, &format!("f{number}")).await.unwrap());
    }
    for round in 0..3 {
        for file in files.iter().rev() {
            rig.write(file, round << 20, &[3; 300_000], Stability::FileSync).await.unwrap();
        }
    }
    let faults = Faults::new(rig.env.clone());
    let mut parts = rig.parts();
    (parts.shard, parts.segments) = faults.wrap((parts.shard, parts.segments));
    assert!(fsck::check(parts, rig.settings.clone(), true).await.unwrap().is_clean());
    let places = faults.prefetched();
    assert!(places.len() >= 18 && places.is_sorted(), "{places:?}");
}
