//! How long to wait before the server is tried again.

use std::time::Duration;

use env::Env;

/// The first wait. A restarting server is away for seconds, and its clients should not add to that.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait: the kernel's request waits with us.
const LONGEST: Duration = Duration::from_secs(2);

/// Doubling waits with a little disorder, so that many tunnels do not knock at once.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next wait: between three quarters and the whole of it.
    pub(super) fn wait(&mut self, env: &Env) -> Duration {
        let wait = self.next;
        self.next = (self.next * 2).min(LONGEST);
        let quarter = wait / 4;
        let draw = u32::from(env.random::<1>()[0]);
        wait - quarter * draw / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 7: reconnects with back-off; a server that is back is found within the longest wait.
    #[test]
    fn waits_double_up_to_the_longest() {
        let (env, _simulation) = Env::simulated(1);
        let mut backoff = Backoff::new();
        let waits: Vec<_> = (0..8).map(|_| backoff.wait(&env)).collect();
        assert!(waits[0] >= FIRST * 3 / 4 && waits[0] <= FIRST, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST), "{waits:?}");
        assert!(waits[7] >= LONGEST * 3 / 4, "{waits:?}");
    }
}
