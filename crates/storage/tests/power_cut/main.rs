//! Cuts of the power at any moment: of what was written since the last sync any part may be gone, torn at 512 bytes, and
//! nothing acknowledged is lost (Architecture, "nothing acknowledged is lost").
//!
//! A workload runs once on the real engine while every change that it makes to files is recorded (`recorder`). Then many
//! disks are made from the record, each as a cut at some moment might have left it (`disk`), and the real engine opens each
//! one (`check`). The next workload begins on one of these disks, so that recoveries are cut too.
//!
//! A failure names the log that was kept and the seed of the cut; both given back in [`LOG`] and [`CUT`] make it again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::print_stderr, reason = "a test")]

mod calls;
mod check;
mod disk;
mod log;
mod random;
mod recorder;
mod workload;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use check::{Known, Left, check};
use disk::{Disk, Lie, Survives};
use env::Env;
use log::{Event, Note};
use random::Random;
use storage::Engine;
use tempfile::TempDir;
use workload::Work;

/// A log that was kept, to make one cut of it again.
const LOG: &str = "COFFER_POWER_LOG";
/// The cut's seed.
const CUT: &str = "COFFER_POWER_CUT";
/// Set for thousands of cuts instead of two hundred.
const LONG: &str = "COFFER_TEST_LONG";

/// Workloads, each on what a cut of the one before left, and how many cuts of each are tried.
const CHAIN: [(Work, usize); 4] = [(Work::Mixed, 58), (Work::Mixed, 58), (Work::Mixed, 58), (Work::Many, 18)];
/// The same for a workload whose disks are so large that a few cuts take as long.
const LARGE: [(Work, usize); 1] = [(Work::Rotation, 8)];
const ROUNDS_LONG: u64 = 50;

/// Where the shard lies; its creation makes both directories.
const SHARD: &str = "shards/one";

/// A directory for this test's files; in memory if there is one, since only what the engine asks for counts, not how long
/// a disk takes.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// What one workload did, and where the events of its own begin.
struct Recorded {
    events: Vec<Event>,
    begin: usize,
}

impl Recorded {
    fn new(events: Vec<Event>) -> Self {
        let begin = events.iter().position(|event| matches!(event, Event::Note(Note::Begin { .. }))).unwrap() + 1;
        Self { events, begin }
    }

    /// After how many events the power goes: anywhere, and often just before a sync, when most is at stake.
    fn moment(&self, cut: u64) -> usize {
        let mut random = Random::new(cut);
        let moment = self.begin + random.below(self.events.len() - self.begin + 1);
        let is_sync = |event: &Event| matches!(event, Event::SyncFile { .. } | Event::SyncDirectory { .. });
        let before_sync = self.events[moment..].iter().position(is_sync).filter(|_| random.percent(50));
        moment + before_sync.unwrap_or(0)
    }

    /// Keeps the log for another look, and says how to have it.
    fn keep(&self, cut: u64) -> String {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("power-cut-{cut:016x}.log"));
        log::keep(&path, &self.events);
        format!("to make it again: {LOG}={} {CUT}={cut} cargo test -p storage --test power_cut nothing", path.display())
    }
}

/// A disk that follows a log.
struct Follower<'a> {
    log: &'a Recorded,
    at: usize,
    disk: Disk,
    known: Known,
}

impl<'a> Follower<'a> {
    fn new(log: &'a Recorded, lie: Lie) -> Self {
        let mut follower = Self { log, at: 0, disk: Disk::new(), known: Known::default() };
        follower.go_to(log.begin);
        follower.disk.lie(lie);
        follower
    }

    fn go_to(&mut self, moment: usize) {
        for event in &self.log.events[self.at..moment] {
            self.disk.apply(event);
            self.known.learn(event);
        }
        self.at = moment;
    }

    /// Lets the power go with this seed, and sees what the engine makes of it.
    fn cut(&self, runtime: &tokio::runtime::Runtime, engine: &Engine, cut: u64) -> Result<Left, String> {
        let dir = directory();
        self.disk.store(Survives::Random(cut), dir.path());
        let left = runtime.block_on(check(engine, &dir.path().join(SHARD), &self.known, cut));
        left.map_err(|error| format!("a cut after event {} of {}: {error}", self.at, self.log.events.len()))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
}

/// Lets a workload run on what lies in `root`.
fn record(root: &Path, begin: Note, seed: u64, work: Work) -> Recorded {
    let Note::Begin { batch, .. } = begin else { panic!("a log begins") };
    let shard = root.join(SHARD);
    let events = recorder::record(root, begin, move |notes| workload::run(&shard, &notes, seed, batch, work));
    let log = Recorded::new(events);
    assert_whole(&log, root);
    assert_busy(&log, work);
    log
}

/// What the cuts are meant for did happen.
fn assert_busy(log: &Recorded, work: Work) {
    let count = |wanted: &dyn Fn(&Event) -> bool| log.events[log.begin..].iter().filter(|event| wanted(event)).count();
    let begun = |ending: &str| count(&|event| matches!(event, Event::Bind { name, .. } if name.ends_with(ending)));
    let removed = count(&|event| matches!(event, Event::Unbind { name, .. } if name.ends_with(".seg")));
    let busy = match work {
        Work::Mixed => begun(".seg") > 2 && removed > 0 && begun("current") > 2,
        Work::Many => count(&|event| matches!(event, Event::Note(Note::Committed { .. }))) > 8192,
        Work::Rotation => begun(".jnl") > 1 && begun("current") > 10,
    };
    assert!(busy, "{work:?}: too little happened for the cuts to mean anything");
}

/// The log leaves exactly the files that are there: so nothing was missed.
fn assert_whole(log: &Recorded, root: &Path) {
    let mut follower = Follower::new(log, Lie::None);
    follower.go_to(log.events.len());
    let copy = directory();
    follower.disk.store(Survives::Everything, copy.path());
    let (real, again) = (tree(root), tree(copy.path()));
    assert_eq!(real.keys().collect::<Vec<_>>(), again.keys().collect::<Vec<_>>());
    for (path, bytes) in real {
        assert!(again[&path] == bytes, "{path:?} is not what was recorded");
    }
}

/// All files below a directory with their contents; directories have none.
fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap()) {
            let path = entry.path();
            let directory = entry.file_type().unwrap().is_dir();
            let contents = (!directory).then(|| fs::read(&path).unwrap());
            found.insert(path.strip_prefix(root).unwrap().to_owned(), contents);
            if directory {
                open.push(path);
            }
        }
    }
    found
}

const NOTHING: Note = Note::Begin { created: false, batch: 0, records: Vec::new(), places: Vec::new() };

/// One round of workloads and cuts. Returns how many cuts were made.
fn round(seed: u64, chain: &[(Work, usize)]) -> usize {
    let (runtime, engine) = (runtime(), workload::engine());
    let mut random = Random::new(seed);
    let (mut root, mut begin) = (directory(), NOTHING);
    let mut made = 0;
    for &(work, count) in chain {
        let log = record(root.path(), begin, random.next(), work);
        let mut cuts: Vec<(usize, u64)> = (0..count).map(|_| random.next()).map(|cut| (log.moment(cut), cut)).collect();
        cuts.sort_unstable();
        let goes_on = cuts[random.below(count)].1;
        let mut follower = Follower::new(&log, Lie::None);
        let next = directory();
        begin = NOTHING;
        for (moment, cut) in cuts {
            follower.go_to(moment);
            let left =
                follower.cut(&runtime, &engine, cut).unwrap_or_else(|error| panic!("{error}\n{}", log.keep(cut)));
            made += 1;
            if cut == goes_on {
                follower.disk.store(Survives::Random(cut), next.path());
                begin = match left {
                    Left::Nothing => NOTHING,
                    Left::Batches(last) => follower.known.begin(true, last),
                };
            }
        }
        root = next;
    }
    made
}

/// Makes one cut of a log that was kept.
fn repeat(log: &str, cut: &str) {
    let (log, cut) = (Recorded::new(log::read(Path::new(log))), cut.parse().unwrap());
    let mut follower = Follower::new(&log, Lie::None);
    follower.go_to(log.moment(cut));
    let left = follower.cut(&runtime(), &workload::engine(), cut);
    eprintln!("{left:?}");
    left.unwrap();
}

/// Architecture, "nothing acknowledged is lost": whenever the power goes, a shard opens again, with every batch that was
/// acknowledged and each by all or nothing, in order, and with every byte that was put.
#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    if let (Ok(log), Ok(cut)) = (std::env::var(LOG), std::env::var(CUT)) {
        return repeat(&log, &cut);
    }
    let (first, rounds) = match std::env::var_os(LONG) {
        Some(_) => (u64::from_be_bytes(Env::real().random()), ROUNDS_LONG),
        None => (1, 1),
    };
    let mut made = 0;
    for seed in (0..rounds).map(|nth| first.wrapping_add(nth)) {
        made += round(seed, &CHAIN) + round(seed, &LARGE);
        eprintln!("{made} cuts, the last with seed {seed}");
    }
    assert!(made >= 200);
}

/// The model can tell: on a disk that says that it has synced files, or directories, and has not, something is lost.
#[test]
fn a_disk_that_lies_is_found_out() {
    let (runtime, engine) = (runtime(), workload::engine());
    let root = directory();
    let log = record(root.path(), NOTHING, 7, Work::Mixed);
    for lie in [Lie::Files, Lie::Directories] {
        let is_found = |cut: u64| {
            let mut follower = Follower::new(&log, lie);
            follower.go_to(log.moment(cut));
            follower.cut(&runtime, &engine, cut).is_err()
        };
        assert!((0..20).any(is_found), "twenty cuts on a lying disk, and nobody has noticed");
    }
}
