//! Operations of several callers against a naive model, with a store that fails and a process that dies at any moment:
//! Architecture section 8. What was acknowledged is there after a crash; what was not is there whole or not at all,
//! always a state between two operations; fsck finds nothing, and nothing is left of what was removed.
//!
//! One seed replays a run: `COFFER_SEED=7 cargo nextest run -p filesystem --test model by_chance`.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]

mod answers;
mod caller;
mod content;
mod crash;
mod look;
mod moves;
mod pattern;
#[path = "../rig/mod.rs"]
mod rig;
mod scripts;
mod steps;
mod store;
mod tree;
mod world;

use std::{cell::RefCell, collections::VecDeque};

use env::Env;
use store::{Store, Weather};
use world::{Plan, World};

/// Says what happened last, and how to play it again, if a run does not come to its end.
struct Replay(String);

/// So many events are told, unless `COFFER_EVENTS` says otherwise.
const EVENTS: usize = 40;

thread_local! {
    static LAST: RefCell<VecDeque<String>> = const { RefCell::new(VecDeque::new()) };
}

/// Something happened that helps to understand a failure.
fn event(what: impl FnOnce() -> String) {
    LAST.with_borrow_mut(|last| {
        if last.len() == number("COFFER_EVENTS").map_or(EVENTS, |most| most as usize) {
            last.pop_front();
        }
        last.push_back(what());
    });
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            LAST.with_borrow(|last| last.iter().for_each(|event| eprintln!("{event:.400}")));
            eprintln!("to play this again: {}", self.0);
        }
    }
}

/// What came of a run.
#[derive(Debug, PartialEq)]
struct Outcome {
    moves: u64,
    calls: u64,
    trace: u64,
    crashes: u32,
}

/// Runs a plan on a runtime of its own, which polls one task at a time.
fn play(plan: Plan, store: Store) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().event_interval(1).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(plan, store.clone()).await;
        world.run().await;
        let outcome =
            Outcome { moves: world.moves, calls: store.calls(), trace: store.trace(), crashes: world.crashes };
        world.finish().await;
        outcome
    })
}

/// A seed chooses the weather too: some runs meet one kind of fault, some all of them.
fn by_seed(seed: u64, steps: usize) -> Outcome {
    let _replay = Replay(format!("COFFER_SEED={seed} cargo nextest run -p filesystem --test model by_chance"));
    let mut random = pattern::Random(seed);
    let mut often = |of_thousand: usize| if random.chance(400) { 1 + random.below(of_thousand) } else { 0 };
    let weather = Weather {
        late: often(900),
        read_fails: often(30),
        put_fails: often(60),
        no_space: often(60),
        commit_fails: often(20),
        cut: often(20),
    };
    let plan = Plan {
        seed,
        steps,
        drops: often(60),
        kills: often(60),
        callers: 1 + random.below(5),
        never_now: random.chance(500),
        large: random.chance(300),
        small_caches: random.chance(300),
        ..Plan::default()
    };
    play(plan, Store::by_chance(seed, weather))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn is_long() -> bool {
    std::env::var_os("COFFER_TEST_LONG").is_some()
}

/// Architecture section 3 and 8: the file system agrees with the model, whatever fails and whenever.
#[test]
fn by_chance() {
    let seeds = match (number("COFFER_SEED"), number("COFFER_SEEDS"), is_long()) {
        (Some(seed), None, _) => seed..seed + 1,
        (Some(seed), Some(count), _) => seed..seed + count,
        (None, _, false) => 0..250,
        // Others each time, since the same ones find the same.
        (None, count, true) => {
            let first = u64::from(u32::from_be_bytes(Env::real().random()));
            first..first + count.unwrap_or(3000)
        }
    };
    let mut crashes = 0;
    for seed in seeds.clone() {
        crashes += by_seed(seed, 150).crashes;
    }
    println!("{} runs, {crashes} crashes", seeds.count());
}

/// Principle of the simulation: one seed replays everything.
#[test]
fn a_seed_replays_everything() {
    for seed in [3, 1004] {
        assert_eq!(by_seed(seed, 60), by_seed(seed, 60));
    }
}
