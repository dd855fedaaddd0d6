//! A slow disk and clocks that jump (Architecture section 1, "Time and chance"; section 4: "A commit that takes over 30 s
//! ... ends the opening"; section 5, "Lease"): clients wait, keys are kept, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use crate::rig::{Caller, Rig};
use bytes::Bytes;
use env::{Env, Simulation};
use filesystem::{
    Budget, Context, FsError, LeaseState, ReplyKey, SealCause, SetAttributes, Settings, Stability, WallTime,
};
use storage::faulty::{Call, Verdict};

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

async fn scene() -> (Rig, Simulation) {
    let (env, simulation) = Env::simulated(5);
    (Rig::with_env(Settings::default(), env, Budget::default()).await, simulation)
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Architecture section 4: nothing that takes less than 30 s is a failure. Every call of the store stalls for 10 s, commits,
/// puts and reads; callers wait for as long as it takes, and the keys are renewed meanwhile.
#[tokio::test]
async fn a_disk_that_stalls_keeps_everybody_waiting_and_fails_nobody() {
    let (mut rig, simulation) = scene().await;
    let faults = rig.open_faulty(true).await;
    let stall = Duration::from_secs(10);
    faults.direct(move |call| match call {
        Call::Commit(_) => Verdict::DoneLate(stall),
        _ => Verdict::Late(stall),
    });
    let rig = Arc::new(rig);
    let mut callers = Vec::new();
    for number in 0..4_u8 {
        let rig = rig.clone();
        callers.push(tokio::spawn(async move {
            let root = rig.root().await;
            let directory = rig.mkdir(&root, &format!("d{number}")).await?;
            let file = rig.file(&directory, "f").await?;
            rig.write(&file, 0, &vec![number; 200_000], Stability::Unstable).await?;
            rig.commit(&file).await?;
            rig.write(&file, 7, b"inline", Stability::FileSync).await?;
            rig.fs.put_record(1, &[number], b"state").await?;
            rig.rename(&directory, "f", &root, &format!("f{number}")).await?;
            rig.read(&file, 0, 13).await
        }));
    }
    let mut seconds = 0;
    while !callers.iter().all(tokio::task::JoinHandle::is_finished) {
        settle().await;
        simulation.advance(Duration::from_secs(1));
        seconds += 1;
        assert!(seconds < 1200, "somebody waits for ever");
        assert_eq!(rig.fs.lease_status().state, LeaseState::Open, "after {seconds} s");
        assert!(!*rig.fs.failed().borrow());
    }
    assert!(seconds > 60, "{seconds} s are less than a lease");
    for (number, caller) in (0_u8..).zip(callers) {
        assert_eq!(caller.await.unwrap().unwrap(), [&[number; 7], &b"inline"[..]].concat());
    }
    let mut rig = Arc::into_inner(rig).unwrap();
    rig.check().await;
    assert_eq!(rig.names(&rig.root().await, 9).await.unwrap().len(), 8);
    assert_eq!(rig.fs.list_records(1).await.unwrap().len(), 4);
}

/// RFC 8881 section 5.8.2.43 (time_modify) follows the time of day, wherever that goes; section 5.8.1.4 (change) and
/// everything that runs out do not.
#[tokio::test]
async fn steps_of_the_time_of_day_move_mtime_and_nothing_else() {
    let (mut rig, simulation) = scene().await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    let start = rig.env.wall();
    let mut change = 0;
    let mut expected = start;
    for step in [2 * HOUR, -2 * HOUR, 30 * YEAR, -90 * YEAR, 60 * YEAR] {
        expected = WallTime { seconds: expected.seconds + step, ..expected };
        simulation.set_wall(expected);
        rig.write(&file, 0, b"unstable", Stability::Unstable).await.unwrap();
        let attributes = rig.attributes(&file).await.unwrap();
        assert_eq!((attributes.mtime, attributes.ctime), (expected, expected));
        assert!(attributes.change > change, "the change attribute went back");
        change = attributes.change;
        assert_eq!(rig.fs.lease_status().state, LeaseState::Open);
        // Unstable data has its age by the clock that does not step.
        assert!(rig.budget.dirty_bytes() > 0);
        for _ in 0..8 {
            settle().await;
            simulation.advance(Duration::from_secs(1));
        }
        settle().await;
        expected.seconds += 8;
        assert_eq!(rig.budget.dirty_bytes(), 0);
        rig.set(&file, SetAttributes { mode: Some(0o600), ..SetAttributes::default() }).await.unwrap();
        change = rig.attributes(&file).await.unwrap().change.max(change);
    }
    let before = rig.attributes(&file).await.unwrap();
    drop(file);
    rig.check().await;
    let file = rig.lookup(&rig.root().await, "f").await.unwrap();
    assert_eq!(rig.attributes(&file).await.unwrap(), before);
}

/// Architecture section 5, "Lease": no key is used beyond its time, so that a machine that slept for hours or a year is sealed
/// until its keys are unwrapped again, and then goes on with all that was acknowledged; stored replies among it.
#[tokio::test]
async fn a_sleep_of_hours_costs_nothing_that_was_acknowledged() {
    let (rig, simulation) = scene().await;
    let file = rig.file(&rig.root().await, "f").await.unwrap();
    let key = ReplyKey { session: [7; 16], slot: 0, sequence: 1 };
    let hold = rig.fs.hold_reply(key);
    let caller = Caller::root();
    let cx = Context { reply: Some(&hold), ..caller.cx() };
    let set = SetAttributes { mode: Some(0o640), ..SetAttributes::default() };
    rig.fs.set_attributes(&cx, &file, &set, false).await.unwrap();
    hold.finish(Bytes::from_static(b"reply"), &caller.watermark);
    rig.fs.durable(&caller.watermark).await.unwrap();
    rig.write(&file, 0, &[0; 9000], Stability::FileSync).await.unwrap();
    let mut durable = 0;
    for (nth, sleep) in [(1_u8, 3 * HOUR), (2, YEAR)] {
        let verifier = rig.fs.write_verifier();
        rig.write(&file, 0, &[nth; 9000], Stability::Unstable).await.unwrap();
        simulation.advance(Duration::from_secs(sleep.unsigned_abs()));
        assert_eq!(rig.read(&file, 0, 9).await.err(), Some(FsError::Sealed(SealCause::Unreachable)));
        for _ in 0..20 {
            settle().await;
            simulation.advance(Duration::from_secs(1));
        }
        settle().await;
        assert_eq!(rig.fs.lease_status().state, LeaseState::Open);
        // Unstable data could not be flushed without the key: it is there, or the verifier and COMMIT say that it is not.
        let found = rig.read(&file, 0, 9000).await.unwrap();
        let kept = found == [nth; 9000];
        assert!(kept || found == [durable; 9000]);
        assert!(kept || rig.fs.write_verifier() != verifier);
        assert_eq!(rig.commit(&file).await.is_ok(), kept);
        rig.write(&file, 0, &[nth; 9000], Stability::FileSync).await.unwrap();
        durable = nth;
        assert_eq!(rig.fs.stored_reply(&key).await.unwrap().as_deref(), Some(&b"reply"[..]));
    }
}
