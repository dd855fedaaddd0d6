//! A simulated world: time moves only when told, and one seed decides every random byte.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{Instant, WallTime};

/// Where simulated time starts: 2026-01-01T00:00:00Z on the wall, one hour after "boot".
const WALL_START: WallTime = WallTime { seconds: 1_767_225_600, nanoseconds: 0 };
const START: Instant = Instant::from_nanoseconds(3_600_000_000_000);

pub(crate) struct World {
    state: Mutex<State>,
}

struct State {
    now: Instant,
    wall: WallTime,
    random: u64,
    next_sleeper: u64,
    sleepers: BTreeMap<(Instant, u64), Waker>,
}

/// The hand that moves a simulated world.
#[derive(Clone)]
pub struct Simulation(Arc<World>);

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let sleepers = BTreeMap::new();
        Self { state: Mutex::new(State { now: START, wall: WALL_START, random: seed, next_sleeper: 0, sleepers }) }
    }

    pub(crate) fn now(&self) -> Instant {
        self.state.lock().now
    }

    pub(crate) fn wall(&self) -> WallTime {
        self.state.lock().wall
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.state.lock();
        for chunk in bytes.chunks_mut(8) {
            let word = next_random(&mut state.random).to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(word) {
                *to = from;
            }
        }
    }

    fn move_to(&self, target: Instant) {
        let due = {
            let mut state = self.state.lock();
            let step = target.since(state.now);
            state.now = state.now + step;
            state.wall = state.wall + step;
            let reached = (state.now, u64::MAX);
            let later = state.sleepers.split_off(&reached);
            std::mem::replace(&mut state.sleepers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
    }
}

/// One step of SplitMix64: small, and good enough where nobody is to be kept from guessing.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Simulation {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self(world)
    }

    /// Moves both clocks forward and wakes whoever waited for a time now reached.
    pub fn advance(&self, step: Duration) {
        let target = self.0.now() + step;
        self.0.move_to(target);
    }

    /// Moves to the next time that somebody waits for; `false` if nobody waits.
    #[must_use]
    pub fn advance_to_next(&self) -> bool {
        let next = self.0.state.lock().sleepers.keys().next().map(|(deadline, _)| *deadline);
        match next {
            Some(deadline) => {
                self.0.move_to(deadline);
                true
            }
            None => false,
        }
    }

    /// Sets the time of day alone, as an operator or NTP may.
    pub fn set_wall(&self, wall: WallTime) {
        self.0.state.lock().wall = wall;
    }

    /// How many sleeps are waiting.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.0.state.lock().sleepers.len()
    }
}

/// Waits in a simulated world; its place in the list goes when it is dropped.
pub(crate) struct SleepUntil {
    world: Arc<World>,
    deadline: Instant,
    number: Option<u64>,
}

impl SleepUntil {
    pub(crate) fn new(world: Arc<World>, deadline: Instant) -> Self {
        Self { world, deadline, number: None }
    }
}

impl Future for SleepUntil {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.world.state.lock();
        if state.now >= this.deadline {
            return Poll::Ready(());
        }
        let number = *this.number.get_or_insert_with(|| {
            state.next_sleeper += 1;
            state.next_sleeper
        });
        state.sleepers.insert((this.deadline, number), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for SleepUntil {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.world.state.lock().sleepers.remove(&(self.deadline, number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::Env;

    /// Architecture section 1, "Time and chance": one seed replays everything.
    #[test]
    fn a_seed_decides_every_random_byte() {
        let (one, _) = Env::simulated(7);
        let (two, _) = Env::simulated(7);
        let (other, _) = Env::simulated(8);
        assert_eq!(one.random::<40>(), two.random::<40>());
        assert_ne!(one.random::<40>(), other.random::<40>());
    }

    /// Architecture section 1, "Time and chance": simulated time moves only when told, and sleeps end exactly then.
    #[test]
    fn a_sleep_ends_when_its_time_is_reached() {
        let (env, simulation) = Env::simulated(1);
        let start = env.now();
        let mut context = Context::from_waker(Waker::noop());
        let mut sleep = pin!(env.sleep(Duration::from_secs(60)));
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        simulation.advance(Duration::from_secs(59));
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        assert!(simulation.advance_to_next());
        assert!(sleep.as_mut().poll(&mut context).is_ready());
        assert_eq!(env.now().since(start), Duration::from_secs(60));
        assert_eq!(env.wall().seconds, WALL_START.seconds + 60);
    }

    /// Architecture section 1, "Bounds": a sleep given up leaves nothing behind.
    #[test]
    fn a_dropped_sleep_is_forgotten() {
        let (env, simulation) = Env::simulated(1);
        {
            let mut context = Context::from_waker(Waker::noop());
            let mut sleep = pin!(env.sleep(Duration::from_secs(1)));
            assert!(sleep.as_mut().poll(&mut context).is_pending());
            assert_eq!(simulation.sleepers(), 1);
        }
        assert_eq!(simulation.sleepers(), 0);
        assert!(!simulation.advance_to_next());
    }
}
