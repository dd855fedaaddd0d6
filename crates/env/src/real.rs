//! The machine's own clocks and random source.
#![expect(clippy::disallowed_methods, reason = "this is the door that the ban points to")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Instant, WallTime};

/// A timer of the runtime stands still in suspend, so long waits are cut into pieces and look at the clock between.
const PIECE: Duration = Duration::from_secs(5);

pub(crate) fn now() -> Instant {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the length of the call.
    #[expect(unsafe_code, reason = "std has no CLOCK_BOOTTIME, and leases must run in suspend")]
    let result = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    assert!(result == 0, "CLOCK_BOOTTIME exists on every supported kernel");
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    Instant::from_nanoseconds(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

pub(crate) fn wall() -> WallTime {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => {
            WallTime { seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX), nanoseconds: after.subsec_nanos() }
        }
        // A clock set before 1970: count forward from the second below.
        Err(error) => {
            let before = error.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => WallTime { seconds: -whole, nanoseconds: 0 },
                part => WallTime { seconds: -whole - 1, nanoseconds: 1_000_000_000 - part },
            }
        }
    }
}

pub(crate) fn fill(bytes: &mut [u8]) {
    let result = getrandom::fill(bytes);
    // Going on with predictable keys would be worse than stopping.
    assert!(result.is_ok(), "the kernel's random source does not answer");
}

pub(crate) async fn sleep_until(deadline: Instant) {
    loop {
        let now = now();
        if deadline <= now {
            return;
        }
        // All that wait long look at the clock at the same moments, so that they cost few wake-ups.
        tokio::time::sleep(deadline.min(now.next_multiple(PIECE)).since(now)).await;
    }
}
