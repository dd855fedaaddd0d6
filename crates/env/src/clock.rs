//! The two kinds of time: one that only moves forward, and the time of day.

use std::{ops::Add, time::Duration};

/// A point on the clock of [`Env::now`](crate::Env::now): nanoseconds since the machine (or the simulation) started,
/// time in suspend included. Comparable only within one boot; never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// The point `nanoseconds` after the start of the clock.
    #[must_use]
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since the start of the clock.
    #[must_use]
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }

    /// The first point after this one that is a whole multiple of `period` from the start of the clock. A period of less
    /// than a nanosecond counts as one.
    #[must_use]
    pub fn next_multiple(self, period: Duration) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self((self.0 - self.0 % period).saturating_add(period))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of the clock, 584 years away.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The time of day: seconds since 1970 in UTC, and nanoseconds below a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    /// Whole seconds since 1970-01-01T00:00:00Z, negative before.
    pub seconds: i64,
    /// 0 to 999,999,999, counted forward from `seconds`.
    pub nanoseconds: u32,
}

impl WallTime {
    /// The same time in whole milliseconds since 1970, rounded down.
    #[must_use]
    pub fn milliseconds(self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanoseconds / 1_000_000))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanoseconds = self.nanoseconds + duration.subsec_nanos();
        let carry = i64::from(nanoseconds / 1_000_000_000);
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self {
            seconds: self.seconds.saturating_add(seconds).saturating_add(carry),
            nanoseconds: nanoseconds % 1_000_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 1, "Bounds": arithmetic on clocks has bounds, not wrap-around.
    #[test]
    fn sums_saturate() {
        let end = Instant::from_nanoseconds(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::ZERO + Duration::MAX, end);
        assert_eq!(Instant::ZERO.since(end), Duration::ZERO);
    }

    /// Architecture section 1, "Env": what waits for the same period meets at the same points, none of which is now.
    #[test]
    fn the_next_multiple_is_always_ahead() {
        let at = |nanoseconds: u64, period: u64| {
            Instant::from_nanoseconds(nanoseconds).next_multiple(Duration::from_nanos(period)).nanoseconds()
        };
        assert_eq!((at(0, 10), at(9, 10), at(10, 10), at(11, 10)), (10, 10, 20, 20));
        assert_eq!(at(5, 0), 6);
        assert_eq!(at(u64::MAX - 1, 10), u64::MAX);
    }

    /// RFC 8881 section 3.2 (nfstime4): nanoseconds stay below a second.
    #[test]
    fn nanoseconds_carry_into_seconds() {
        let time = WallTime { seconds: -1, nanoseconds: 900_000_000 } + Duration::from_millis(200);
        assert_eq!(time, WallTime { seconds: 0, nanoseconds: 100_000_000 });
        assert_eq!(time.milliseconds(), 100);
    }
}
