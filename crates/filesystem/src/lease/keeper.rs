//! The keeper of one key: renews its lease, seals when it is refused or out of time, and opens again.

use std::{sync::Arc, time::Duration};

use env::Instant;
use tokio::sync::watch;

use crate::{
    FsError, Result, SealCause,
    core::Core,
    lease::{KeyTrouble, SEAL_FLUSH_MAX, Which},
};

/// How often a sealed file system asks for a key again that is not reachable, and first for one that was refused.
const SEALED_RETRY: Duration = Duration::from_secs(2);

/// Renewals come at whole multiples of this, or of a sixteenth of a shorter lease.
const TOGETHER: Duration = Duration::from_secs(2);

/// A refusal stands until somebody changes it, and that is told by a notice: each next question waits twice as long, up
/// to this.
const REFUSED_RETRY_MAX: Duration = Duration::from_secs(60);

impl Core {
    /// Asks for one key. `Err`: it is not at hand, for this reason.
    pub(crate) async fn fetch_key(&self, which: Which, limit: Instant) -> std::result::Result<(), (SealCause, String)> {
        let mut notices = self.keys.generation.subscribe();
        loop {
            let start = self.env.now();
            let generation = *notices.borrow_and_update();
            let answer = tokio::select! {
                answer = self.source.unwrap(which) => answer,
                () = self.env.sleep_until(limit) => Err(KeyTrouble::Unreachable("no answer in time".into())),
            };
            // Whatever was answered before a notice may no longer be true.
            if notices.has_changed().unwrap_or(false) {
                continue;
            }
            return match answer {
                Ok(key) => {
                    if !self.keys.install(which, key, start, generation, self.source.grace(which)) {
                        continue;
                    }
                    Ok(())
                }
                Err(KeyTrouble::Refused(why)) => Err((SealCause::Refused, why)),
                Err(KeyTrouble::Unreachable(why)) => Err((SealCause::Unreachable, why)),
            };
        }
    }

    /// Notices from now on, for [`run_keeper`](Self::run_keeper).
    pub(crate) fn notices(&self) -> watch::Receiver<u64> {
        self.keys.generation.subscribe()
    }

    /// Keeps one key for as long as the file system is open.
    pub(crate) async fn run_keeper(self: Arc<Self>, which: Which, mut notices: watch::Receiver<u64>) {
        let mut stop = self.stop.subscribe();
        let mut refusals = 0;
        loop {
            let next = self.next_renewal(which, refusals);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = notices.changed() => refusals = 0,
                () = self.env.sleep_until(next) => {}
            }
            notices.mark_unchanged();
            refusals = match self.renew(which).await {
                Some(SealCause::Refused) => refusals.saturating_add(1),
                Some(SealCause::Unreachable) | None => 0,
            };
        }
    }

    fn next_renewal(&self, which: Which, refusals: u32) -> Instant {
        let now = self.env.now();
        if !self.keys.has(which) {
            let doublings = refusals.saturating_sub(1).min(6);
            return now + (SEALED_RETRY * (1 << doublings)).min(REFUSED_RETRY_MAX).min(self.keys.lease / 4);
        }
        // The first try in good time; then, if the service did not answer, again and again.
        let expires = self.keys.expires(which);
        let lease = u64::try_from(self.keys.lease.as_nanos()).unwrap_or(0);
        let due = if self.source.is_told(which) { lease / 4 * 3 } else { lease / 2 };
        // File systems that were opened together do not go on asking together; the keys of one do.
        let jitter = self.keys.jitter % (lease / 16).max(1);
        let start = self.keys.start(which).nanoseconds();
        // Those that ask at nearly the same time ask at once: one sync of the audit log does for all of them.
        let together = u64::try_from(TOGETHER.as_nanos()).unwrap_or(0).min(lease / 16).max(1);
        let first = (start + due).saturating_sub(jitter);
        let first = Instant::from_nanoseconds(first - first % together);
        if first > now { first } else { (now + self.keys.lease / 12).min(expires) }
    }

    /// Asks for the key. Why it was withheld, if it was.
    async fn renew(&self, which: Which) -> Option<SealCause> {
        let had = self.keys.has(which);
        let now = self.env.now();
        let limit = if had { self.keys.expires(which) } else { now + self.keys.lease };
        match self.fetch_key(which, limit).await {
            Ok(()) => {
                self.unseal(which).await;
                None
            }
            Err((SealCause::Unreachable, _)) if had && self.env.now() < self.keys.expires(which) => None,
            Err((cause, why)) => {
                self.seal(which, cause, why).await;
                Some(cause)
            }
        }
    }

    /// Serves again, if both keys are here and everything that has to be read first can be read.
    pub(crate) async fn unseal(&self, which: Which) {
        if self.keys.check().is_ok() || !self.keys.may_serve() {
            return;
        }
        let _turn = self.keys.turn.lock().await;
        // While this waited, a key may have been withheld, or the other keeper may have done it.
        if self.keys.check().is_ok() || !self.keys.may_serve() {
            return;
        }
        match self.get_ready().await {
            Ok(()) => {
                if self.keys.serve() {
                    tracing::info!(file_system = %self.id, "the file system serves");
                }
            }
            Err(FsError::Sealed(_)) => {}
            Err(error) => {
                if self.keys.unreadable(format!("its keys are usable, but it cannot be read: {error}")) {
                    tracing::error!(file_system = %self.id, %error, ?which, "the file system cannot be read");
                }
            }
        }
    }

    /// Stops serving at once, flushes for a while, and wipes the key.
    async fn seal(&self, which: Which, cause: SealCause, why: String) {
        if self.keys.check().is_ok() || self.keys.has(which) {
            tracing::warn!(file_system = %self.id, ?which, ?cause, why, "the file system is sealed");
        }
        let limit = self.env.now() + SEAL_FLUSH_MAX;
        self.keys.stop_serving(which, cause, why);
        if !self.keys.has(which) {
            return;
        }
        // However long the other key's keeper takes, this key goes when its time is over.
        let turn = tokio::select! {
            turn = self.keys.turn.lock() => Some(turn),
            () = self.env.sleep_until(limit) => None,
        };
        let flushed = tokio::select! {
            done = self.flush_behind_seal() => done.is_ok(),
            () = self.env.sleep_until(limit) => false,
        };
        if !flushed {
            self.drop_dirty();
        }
        self.keys.wipe(which);
        if !self.dirty.lock().is_empty() {
            self.drop_dirty();
        }
        self.plain.clear();
        if which == Which::Metadata {
            self.unload_all();
        }
        drop(turn);
    }

    /// Brings everything to disk that was let in before the gate closed.
    async fn flush_behind_seal(&self) -> Result<()> {
        // Whoever found the gate open under an inode's lock has left it, with what it wrote.
        for inode in self.cache.all() {
            drop(inode.lock());
        }
        self.flush_all().await?;
        self.queue.drained().await;
        self.queue.durable(self.queue.last()).await
    }
}
