//! Clocks, randomness and fresh ids: the only door to them, real or simulated (Architecture section 1, "Time and
//! chance").
//!
//! Everything that needs the time, a random number or a new id takes an [`Env`]. [`Env::real`] reads the machine;
//! [`Env::simulated`] gives a clock that moves only when told and random numbers that follow from one seed.

mod clock;
mod real;
mod simulated;

use std::{fmt::Write as _, sync::Arc, time::Duration};

pub use clock::{Instant, WallTime};
pub use simulated::Simulation;

/// The clocks and the randomness of one process or of one simulated run. Clones share them.
#[derive(Clone)]
pub struct Env(Source);

#[derive(Clone)]
enum Source {
    Real,
    Simulated(Arc<simulated::World>),
}

impl Env {
    /// The machine's own clocks and random source.
    #[must_use]
    pub fn real() -> Self {
        Self(Source::Real)
    }

    /// A world of its own: time stands still until [`Simulation::advance`], and `seed` decides every random byte.
    #[must_use]
    pub fn simulated(seed: u64) -> (Self, Simulation) {
        let world = Arc::new(simulated::World::new(seed));
        (Self(Source::Simulated(world.clone())), Simulation::new(world))
    }

    /// Time since the machine started, suspension included. Never goes back.
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Real => real::now(),
            Source::Simulated(world) => world.now(),
        }
    }

    /// The time of day, for time stamps only: it may jump in either direction.
    #[must_use]
    pub fn wall(&self) -> WallTime {
        match &self.0 {
            Source::Real => real::wall(),
            Source::Simulated(world) => world.wall(),
        }
    }

    /// Fills `bytes` with random bytes fit for keys.
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::Real => real::fill(bytes),
            Source::Simulated(world) => world.fill(bytes),
        }
    }

    /// `N` random bytes fit for keys.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// Waits until the clock is at the next whole multiple of `period`, which is at least a nanosecond away and at most
    /// `period`. Everything in the process that waits for the same period goes on at the same moment: one wake-up of a
    /// thread does for all of it.
    pub async fn tick(&self, period: Duration) {
        self.sleep_until(self.now().next_multiple(period)).await;
    }

    /// Waits until `deadline`; at once if that has passed. Cancelled by dropping.
    pub async fn sleep_until(&self, deadline: Instant) {
        match &self.0 {
            Source::Real => real::sleep_until(deadline).await,
            Source::Simulated(world) => simulated::SleepUntil::new(world.clone(), deadline).await,
        }
    }

    /// A fresh id such as EFS gives: `prefix` (for example `"fs-"`) and 17 hexadecimal digits.
    #[must_use]
    pub fn hex_id(&self, prefix: &str) -> String {
        let mut id = String::with_capacity(prefix.len() + 17);
        id.push_str(prefix);
        let bytes = self.random::<9>();
        push_hex(&mut id, &bytes);
        id.truncate(prefix.len() + 17);
        id
    }

    /// A fresh random UUID (RFC 9562, version 4) in its usual spelling.
    #[must_use]
    pub fn uuid(&self) -> String {
        let mut bytes = self.random::<16>();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = String::with_capacity(36);
        for (position, group) in
            [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].iter().enumerate()
        {
            if position > 0 {
                text.push('-');
            }
            push_hex(&mut text, group);
        }
        text
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EFS resource ids (CreateFileSystem, FileSystemId): `fs-` and 17 lower-case hexadecimal digits.
    #[test]
    fn an_id_has_the_prefix_and_17_digits() {
        let id = Env::real().hex_id("fs-");
        let digits = id.strip_prefix("fs-").unwrap();
        assert_eq!(digits.len(), 17);
        assert!(digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit)));
        assert_ne!(id, Env::real().hex_id("fs-"));
    }

    /// RFC 9562 section 5.4: version and variant bits of a random UUID.
    #[test]
    fn a_uuid_says_version_4_and_its_variant() {
        let uuid = Env::real().uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]));
        assert_eq!(uuid.match_indices('-').map(|(at, _)| at).collect::<Vec<_>>(), [8, 13, 18, 23]);
    }

    /// Architecture section 5: the lease clock runs in suspend, so it can never be behind CLOCK_MONOTONIC.
    #[test]
    fn the_real_clock_moves_forward() {
        let env = Env::real();
        let before = env.now();
        let after = env.now();
        assert!(after >= before);
        assert_eq!(before.since(after + Duration::from_secs(1)), Duration::ZERO);
        assert!(env.wall().seconds > 1_700_000_000);
    }
}
