//! Short histories, played again and again: the store fails at the first call, the second, and so on to the last; the
//! process dies at each move; the caller of each step goes away before each poll.

use std::collections::BTreeMap;

use storage::faulty::Verdict;

use crate::{
    Outcome, Replay,
    content::What,
    play,
    steps::Step,
    store::Store,
    tree::{Body, Change, Id, ROOT},
    world::Plan,
};

fn make(parent: Id, name: &str, id: Id, body: Body) -> Step {
    Step::Change(Change::Make { parent, name: name.into(), id, body })
}

fn directory(parent: Id, name: &str, id: Id) -> Step {
    make(parent, name, id, Body::Directory(BTreeMap::new()))
}

fn file(parent: Id, name: &str, id: Id) -> Step {
    make(parent, name, id, Body::File)
}

fn remove(parent: Id, name: &str) -> Step {
    Step::Change(Change::Remove { parent, name: name.into() })
}

fn rename((from, old): (Id, &str), (to, new): (Id, &str)) -> Step {
    Step::Change(Change::Rename { from, old: old.into(), to, new: new.into() })
}

fn truncate(id: Id, size: u64) -> Step {
    Step::Change(Change::Truncate { id, size })
}

fn write(id: Id, (offset, length): (u64, u64), pattern: u64, stable: bool) -> Step {
    Step::Write { id, what: What::Write { offset, length, stride: 0, count: 1 }, pattern, stable }
}

/// Names: made, moved across directories and over others, linked, removed while open.
fn names() -> Vec<Step> {
    vec![
        directory(ROOT, "a", 1),
        directory(ROOT, "b", 2),
        file(1, "f", 3),
        file(2, "g", 4),
        write(3, (0, 5000), 1, true),
        Step::Change(Change::Link { id: 3, parent: 2, name: "h".into() }),
        Step::Change(Change::Set { id: 3, mode: 0o600, uid: 1 }),
        Step::Open(4),
        rename((1, "f"), (2, "g")),
        Step::Read { id: 4, offset: 0, count: 10 },
        directory(1, "d", 5),
        rename((1, "d"), (2, "d")),
        rename((ROOT, "b"), (5, "b")),
        make(ROOT, "s", 6, Body::Symlink("to".into())),
        Step::Record(Some(7)),
        rename((ROOT, "s"), (2, "h")),
        Step::Close,
        remove(2, "g"),
        remove(2, "d"),
        remove(ROOT, "a"),
        Step::Record(None),
        Step::List(ROOT),
    ]
}

/// Contents: inline and in segments, overwritten, cut, grown, and too many extents to go at once.
fn contents() -> Vec<Step> {
    let scattered = What::Write { offset: 0, length: 1, stride: 8192, count: 230 };
    vec![
        file(ROOT, "f", 1),
        write(1, (0, 1), 1, false),
        write(1, (3000, 9000), 2, false),
        Step::Commit(1),
        write(1, (4096, 4096), 3, true),
        write(1, (1_040_000, 200_000), 4, true),
        write(1, (0, 150_000), 5, false),
        Step::Reclaim,
        truncate(1, 1_100_001),
        truncate(1, 2_000_000),
        Step::Commit(1),
        truncate(1, 5000),
        Step::Read { id: 1, offset: 0, count: 1 << 20 },
        file(ROOT, "g", 2),
        Step::Write { id: 2, what: scattered, pattern: 6, stable: false },
        Step::Commit(2),
        Step::Reclaim,
        truncate(2, 9000),
        write(2, (8000, 70_000), 7, true),
        rename((ROOT, "f"), (ROOT, "g")),
        Step::Look(1),
        Step::Reclaim,
        remove(ROOT, "g"),
    ]
}

fn plan(script: &[Step]) -> Plan {
    Plan { seed: 1, callers: 1, never_now: true, script: Some(script.to_vec()), ..Plan::default() }
}

fn played(what: String, plan: Plan, exact: Option<(u64, Verdict)>) -> Outcome {
    let _replay = Replay(what);
    play(plan, Store::exact(exact))
}

fn fail_at_every_call(script: &[Step]) {
    let calls = played("no fault".into(), plan(script), None).calls;
    let verdicts = [
        Verdict::CutBefore,
        Verdict::CutAfter,
        Verdict::Unknown { done: false },
        Verdict::Unknown { done: true },
        Verdict::Fail,
        Verdict::NoSpace,
    ];
    for verdict in verdicts {
        for call in 1..=calls {
            played(format!("{verdict:?} at call {call}"), plan(script), Some((call, verdict)));
        }
    }
}

fn die_at_every_move(script: &[Step]) {
    let moves = played("no fault".into(), plan(script), None).moves;
    for kill_at in 1..=moves {
        let plan = Plan { kill_at: Some(kill_at), ..plan(script) };
        assert!(played(format!("the process dies at move {kill_at}"), plan, None).crashes > 0);
    }
}

fn give_up_at_every_poll(script: &[Step]) {
    for step in 0..script.len() {
        for poll in 0..6 {
            let plan = Plan { drop_at: Some((step, poll)), ..plan(script) };
            played(format!("step {step} is given up before poll {poll}"), plan, None);
        }
    }
}

/// Architecture section 4: a batch is durable whole, or not done, or its outcome is unknown; whichever call that befalls.
#[test]
fn names_survive_a_store_that_fails_at_any_call() {
    fail_at_every_call(&names());
}

/// The same of contents.
#[test]
fn contents_survive_a_store_that_fails_at_any_call() {
    fail_at_every_call(&contents());
}

/// Architecture, "nothing acknowledged is lost": the process dies between any two polls of any of its tasks.
#[test]
fn names_survive_a_crash_at_any_move() {
    die_at_every_move(&names());
}

/// The same of contents.
#[test]
fn contents_survive_a_crash_at_any_move() {
    die_at_every_move(&contents());
}

/// Architecture section 3: an operation whose caller goes away is done whole or not at all.
#[test]
fn steps_are_done_whole_or_not_at_all_when_their_caller_goes_away() {
    give_up_at_every_poll(&names());
    give_up_at_every_poll(&contents());
}
