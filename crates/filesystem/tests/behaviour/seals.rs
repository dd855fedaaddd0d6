//! Seals while work is going on: Architecture section 5, "A seal".
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::rig::{Caller, GIVEN, Keys, REFUSED, Rig, UNREACHABLE, name_of};
use bytes::Bytes;
use crypto::Key;
use env::{Env, Simulation};
use filesystem::{
    Budget, Context, FileSystem, FsError, KeySource, KeyTrouble, LeaseState, NewObject, ReplyKey, SealCause,
    SetAttributes, Settings, Stability, Which,
};
use storage::{BoxFuture, faulty::PutFault, faulty::ReadFault};

const REFUSAL: Option<FsError> = Some(FsError::Sealed(SealCause::Refused));

/// Gives the metadata key a second later than the data key.
struct LateMetadata(Arc<Keys>, Env);

impl KeySource for LateMetadata {
    fn unwrap(&self, which: Which) -> BoxFuture<'_, Result<Key, KeyTrouble>> {
        Box::pin(async move {
            if which == Which::Metadata {
                self.1.sleep(Duration::from_secs(1)).await;
            }
            self.0.unwrap(which).await
        })
    }
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn pass(simulation: &Simulation, milliseconds: u64) {
    simulation.advance(Duration::from_millis(milliseconds));
    settle().await;
}

/// Lets time pass until the work is done.
async fn driven<T>(simulation: &Simulation, work: impl Future<Output = T>) -> T {
    let clock = async {
        for _ in 0..1000 {
            settle().await;
            simulation.advance(Duration::from_millis(100));
        }
    };
    tokio::select! {
        done = work => done,
        () = clock => panic!("it does not end"),
    }
}

async fn until(fs: &FileSystem, what: impl Fn(&LeaseState) -> bool) {
    let mut watch = fs.lease_watch();
    let found = tokio::time::timeout(Duration::from_secs(20), watch.wait_for(|state| what(state))).await;
    found.unwrap().unwrap();
}

/// Architecture section 5: while one key's seal flushes, the renewal of the other key does not open the file system again,
/// and clients are told one cause throughout.
#[tokio::test]
async fn a_seal_that_flushes_is_not_undone_by_the_other_key() {
    let (env, simulation) = Env::simulated(11);
    let mut rig = Rig::with_env(Settings::default(), env.clone(), Budget::default()).await;
    let faults = storage::faulty::Faults::new(env.clone());
    let mut parts = rig.parts();
    (parts.shard, parts.segments) = faults.wrap((parts.shard, parts.segments));
    parts.keys = Arc::new(LateMetadata(rig.keys.clone(), env));
    let opening = tokio::spawn(FileSystem::open(parts, rig.settings.clone()));
    settle().await;
    pass(&simulation, 1000).await;
    rig.fs = opening.await.unwrap().unwrap();
    let root = rig.root().await;
    let file = rig.file(&root, "f").await.unwrap();
    rig.write(&file, 0, &vec![9; 1 << 20], Stability::Unstable).await.unwrap();
    let verifier = rig.fs.write_verifier();

    faults.puts([PutFault::Late(Duration::from_secs(5))]);
    rig.keys.data.store(REFUSED, Ordering::SeqCst);
    rig.fs.key_notice();
    settle().await;
    for _ in 0..24 {
        let state = rig.fs.lease_status().state;
        assert!(matches!(state, LeaseState::Sealed { which: Which::Data, cause: SealCause::Refused, .. }), "{state:?}");
        assert_eq!(rig.write(&file, 0, b"x", Stability::Unstable).await.err(), REFUSAL);
        assert_eq!(rig.lookup(&root, "f").await.err(), REFUSAL);
        pass(&simulation, 500).await;
    }
    assert_eq!(rig.budget.dirty_bytes(), 0);
    rig.keys.data.store(GIVEN, Ordering::SeqCst);
    rig.fs.key_notice();
    for _ in 0..4 {
        settle().await;
        pass(&simulation, 500).await;
    }
    assert!(rig.read(&file, 0, 2 << 20).await.unwrap() == vec![9; 1 << 20]);
    assert_eq!(rig.fs.write_verifier(), verifier);
}

/// Architecture section 5: a seal under write load lets nothing in behind itself, loses nothing without saying so, and the
/// file system is whole when the key is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_written_behind_a_seal() {
    let mut rig = Rig::new().await;
    let root = rig.root().await;
    for round in 0..6 {
        let key = if round % 2 == 0 { &rig.keys.data } else { &rig.keys.metadata };
        let over = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for writer in 0..4_u64 {
            let file = rig.file(&root, &format!("r{round}w{writer}")).await.unwrap();
            let (fs, over) = (rig.fs.clone(), over.clone());
            writers.push(tokio::spawn(async move {
                let mut refused = 0_u32;
                for block in 0.. {
                    let (sealed, data) = (over.load(Ordering::SeqCst), Bytes::from(vec![7; 20_000]));
                    let caller = Caller::root();
                    let wrote = fs.write(&caller.cx(), &file, block % 100 * 20_000, data, Stability::Unstable).await;
                    match wrote {
                        Ok(_) => assert!(!sealed, "written behind the seal"),
                        // `Delay`: the record was wiped between the door and the inode.
                        Err(FsError::Sealed(_) | FsError::Delay) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                    if refused > 50 {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }));
        }
        rig.env.sleep(Duration::from_millis(30)).await;
        key.store(REFUSED, Ordering::SeqCst);
        rig.fs.key_notice();
        until(&rig.fs, |state| matches!(state, LeaseState::Sealed { cause: SealCause::Refused, .. })).await;
        over.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        // Metadata first, data second.
        let wiped = |ages: [Option<Duration>; 2]| ages.get(usize::from(round % 2 == 0)).is_some_and(Option::is_none);
        while !wiped(rig.fs.lease_status().ages) || rig.budget.dirty_bytes() > 0 {
            rig.env.sleep(Duration::from_millis(10)).await;
        }
        key.store(GIVEN, Ordering::SeqCst);
        rig.fs.key_notice();
        until(&rig.fs, |state| *state == LeaseState::Open).await;
        assert!(rig.fs.seal_mark() > 0);
    }
    rig.fs.close().await.unwrap();
    rig.check().await;
}

/// Architecture section 3: counters and totals are read once, however many keys come at the same time; what was given out
/// since is not given out again.
#[tokio::test]
async fn both_keys_coming_at_once_start_the_file_system_once() {
    let (env, simulation) = Env::simulated(12);
    let mut rig = Rig::with_env(Settings::default(), env.clone(), Budget::default()).await;
    rig.mkdir(&rig.root().await, "before").await.unwrap();
    rig.keys.data.store(REFUSED, Ordering::SeqCst);
    rig.keys.metadata.store(REFUSED, Ordering::SeqCst);
    let faults = storage::faulty::Faults::new(env);
    faults.never_now(true);
    let mut parts = rig.parts();
    (parts.shard, parts.segments) = faults.wrap((parts.shard, parts.segments));
    rig.fs = FileSystem::open(parts, rig.settings.clone()).await.unwrap();
    settle().await;
    // Were there two that read, the second would be held up when it has its totals, and set them back afterwards.
    faults.reads((0..7).map(|_| ReadFault::Pass));
    faults.reads([ReadFault::Late(Duration::from_secs(5))]);
    rig.keys.data.store(GIVEN, Ordering::SeqCst);
    rig.keys.metadata.store(GIVEN, Ordering::SeqCst);
    rig.fs.key_notice();
    settle().await;
    let root = driven(&simulation, rig.fs.root()).await.unwrap();
    for number in 0..70 {
        driven(&simulation, rig.mkdir(&root, &format!("d{number}"))).await.unwrap();
        pass(&simulation, 100).await;
    }
    let names = driven(&simulation, rig.names(&root, 99)).await.unwrap();
    assert_eq!(rig.fs.statistics().objects, 1 + names.len() as u64);
    drop(root);
    let report = rig.report().await;
    assert!(report.is_clean(), "{:#?}", report.problems);
}

/// Architecture section 5: sessions and leases go on while a file system is sealed, so whoever ends a session does not wait
/// for a key.
#[tokio::test]
async fn a_session_is_forgotten_or_refused_at_once() {
    for mode in [REFUSED, UNREACHABLE] {
        let rig = Rig::with(Settings { key_lease: Duration::from_millis(400), ..Settings::default() }).await;
        let root = rig.root().await;
        let caller = Caller::root();
        let hold = rig.fs.hold_reply(ReplyKey { session: [7; 16], slot: 0, sequence: 1 });
        let cx = Context { reply: Some(&hold), ..caller.cx() };
        let set = SetAttributes::default();
        rig.fs.create_object(&cx, &root, &name_of("d"), NewObject::Directory, &set).await.unwrap();
        hold.finish(Bytes::from_static(b"reply"), &caller.watermark);
        rig.fs.durable(&caller.watermark).await.unwrap();
        rig.keys.metadata.store(mode, Ordering::SeqCst);
        rig.fs.key_notice();
        while rig.fs.lease_status().ages.first().is_some_and(Option::is_some) {
            rig.env.sleep(Duration::from_millis(5)).await;
        }
        let limit = Duration::from_secs(5);
        let forgotten = tokio::time::timeout(limit, rig.fs.forget_session(&[7; 16])).await.unwrap();
        assert!(matches!(forgotten, Err(FsError::Sealed(_))));
        let put = tokio::time::timeout(limit, rig.fs.put_record(1, b"k", b"v")).await.unwrap();
        assert!(matches!(put, Err(FsError::Sealed(_))));
        rig.keys.metadata.store(GIVEN, Ordering::SeqCst);
        rig.fs.key_notice();
        until(&rig.fs, |state| *state == LeaseState::Open).await;
        rig.fs.forget_session(&[7; 16]).await.unwrap();
        assert!(rig.fs.reply_sessions().await.unwrap().is_empty());
    }
}

/// Architecture section 5: what was read before a seal is not sent after it, whatever operation read it, and the seal's cause
/// says whether waiting helps.
#[tokio::test]
async fn what_was_read_before_a_seal_is_not_sent_after_it() {
    let rig = Rig::new().await;
    let mark = rig.fs.seal_mark();
    rig.fs.sealed_since(mark).unwrap();
    rig.keys.data.store(REFUSED, Ordering::SeqCst);
    rig.fs.key_notice();
    until(&rig.fs, |state| *state != LeaseState::Open).await;
    assert_eq!(rig.fs.sealed_since(mark).err(), REFUSAL);
    rig.keys.data.store(GIVEN, Ordering::SeqCst);
    rig.fs.key_notice();
    until(&rig.fs, |state| *state == LeaseState::Open).await;
    assert!(rig.fs.sealed_since(mark).is_err());
    rig.fs.sealed_since(rig.fs.seal_mark()).unwrap();
}

/// Counts questions for the data key.
struct Counted {
    keys: Arc<Keys>,
    asked: AtomicU32,
    told: bool,
}

impl Counted {
    fn new(keys: &Arc<Keys>) -> Self {
        Self { keys: keys.clone(), asked: 0.into(), told: false }
    }
}

impl KeySource for Counted {
    fn unwrap(&self, which: Which) -> BoxFuture<'_, Result<Key, KeyTrouble>> {
        if which == Which::Data {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        self.keys.unwrap(which)
    }

    fn is_told(&self, _which: Which) -> bool {
        self.told
    }
}

/// Architecture section 5, "Lease": a renewal begins by half of the lease, or by three quarters of it where changes of the key are
/// told anyway; a sixteenth earlier at most, and then to the even second.
#[tokio::test]
async fn a_renewal_begins_in_good_time() {
    for (told, due) in [(false, 80), (true, 120)] {
        let (env, simulation) = Env::simulated(17);
        let settings = Settings { key_lease: Duration::from_secs(160), ..Settings::default() };
        let mut rig = Rig::with_env(settings, env, Budget::default()).await;
        let counted = Arc::new(Counted { told, ..Counted::new(&rig.keys) });
        let mut parts = rig.parts();
        parts.keys = counted.clone();
        rig.fs = FileSystem::open(parts, rig.settings.clone()).await.unwrap();
        settle().await;
        for round in 1..=3 {
            counted.asked.store(0, Ordering::SeqCst);
            let mut seconds = 0;
            while counted.asked.load(Ordering::SeqCst) == 0 {
                pass(&simulation, 1000).await;
                seconds += 1;
                assert!(seconds <= due, "told {told}, round {round}: not asked for {seconds} s");
            }
            assert!(seconds >= due - 13, "told {told}, round {round}: asked after {seconds} s");
        }
    }
}

/// A key that was refused is asked for ever more rarely, up to once a minute, since each question is an audited call; a
/// notice asks at once. docs/operations.md, "Watching".
#[tokio::test]
async fn a_refused_key_is_asked_for_ever_more_rarely() {
    let (env, simulation) = Env::simulated(13);
    let settings = Settings { key_lease: Duration::from_secs(280), ..Settings::default() };
    let mut rig = Rig::with_env(settings, env, Budget::default()).await;
    let counted = Arc::new(Counted::new(&rig.keys));
    let mut parts = rig.parts();
    parts.keys = counted.clone();
    rig.fs = FileSystem::open(parts, rig.settings.clone()).await.unwrap();
    rig.keys.data.store(REFUSED, Ordering::SeqCst);
    rig.fs.key_notice();
    settle().await;
    counted.asked.store(0, Ordering::SeqCst);
    for _ in 0..600 {
        pass(&simulation, 1000).await;
    }
    let asked = counted.asked.load(Ordering::SeqCst);
    assert!((10..=15).contains(&asked), "{asked}");
    rig.keys.data.store(GIVEN, Ordering::SeqCst);
    rig.fs.key_notice();
    settle().await;
    rig.fs.root().await.unwrap();
}

/// A file system whose keys are back and whose records cannot be read says so, and does not ask for its keys over and over:
/// each question is an audited call. docs/operations.md, "Watching".
#[tokio::test]
async fn what_cannot_be_read_is_not_the_keys_fault() {
    let (env, simulation) = Env::simulated(14);
    let mut rig = Rig::with_env(Settings::default(), env.clone(), Budget::default()).await;
    let counted = Arc::new(Counted::new(&rig.keys));
    rig.keys.data.store(REFUSED, Ordering::SeqCst);
    let faults = storage::faulty::Faults::new(env);
    faults.never_now(true);
    let mut parts = rig.parts();
    (parts.shard, parts.segments) = faults.wrap((parts.shard, parts.segments));
    parts.keys = counted.clone();
    rig.fs = FileSystem::open(parts, rig.settings.clone()).await.unwrap();
    settle().await;
    // For the keepers of both keys, which try one after the other.
    let torn = || ReadFault::Fail(storage::StorageError::NoSuchPlace("torn".into()));
    faults.reads([torn(), torn()]);
    rig.keys.data.store(GIVEN, Ordering::SeqCst);
    rig.fs.key_notice();
    settle().await;
    let LeaseState::Sealed { cause, reason, .. } = rig.fs.lease_status().state else { panic!("it cannot be read") };
    assert_eq!(cause, SealCause::Refused);
    assert!(reason.contains("keys are usable") && reason.contains("torn"), "{reason}");
    assert_eq!(rig.fs.root().await.err(), REFUSAL);
    counted.asked.store(0, Ordering::SeqCst);
    for _ in 0..90 {
        pass(&simulation, 1000).await;
    }
    let asked = counted.asked.load(Ordering::SeqCst);
    assert!((2..=5).contains(&asked), "{asked}");
    rig.fs.root().await.unwrap();
}
