//! The keeper of one key: renews its lease, seals when it is refused or out of time, and opens again.

use std::{sync::Arc, time::Duration};

use env::Instant;
use tokio::sync::watch;

use crate::{
    FsError, SealCause,
    core::Core,
    lease::{KeyTrouble, Which},
};

/// A seal flushes for at most this long.
const SEAL_FLUSH_MAX: Duration = Duration::from_secs(10);

/// How often a sealed file system asks for its key again.
const SEALED_RETRY: Duration = Duration::from_secs(2);

impl Core {
    /// Asks for one key. `Err`: it is not at hand, for this reason.
    pub(crate) async fn fetch_key(&self, which: Which, limit: Instant) -> Result<(), (SealCause, String)> {
        let mut notices = self.keys.generation.subscribe();
        loop {
            let start = self.env.now();
            notices.mark_unchanged();
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
                    self.keys.install(which, key, start);
                    Ok(())
                }
                Err(KeyTrouble::Refused(why)) => Err((SealCause::Refused, why)),
                Err(KeyTrouble::Unreachable(why)) => Err((SealCause::Unreachable, why)),
            };
        }
    }

    /// Keeps one key for as long as the file system is open.
    pub(crate) async fn run_keeper(self: Arc<Self>, which: Which) {
        let mut stop = self.stop.subscribe();
        let mut notices = self.keys.generation.subscribe();
        loop {
            let next = self.next_renewal(which);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = notices.changed() => {}
                () = self.env.sleep_until(next) => {}
            }
            self.renew(which, &mut notices).await;
        }
    }

    fn next_renewal(&self, which: Which) -> Instant {
        let now = self.env.now();
        if !self.keys.has(which) || !self.ready.load(std::sync::atomic::Ordering::Acquire) {
            return now + SEALED_RETRY.min(self.keys.lease / 4);
        }
        // The first try at half time; then, if the service did not answer, again and again.
        let expires = self.keys.expires(which);
        let half = Instant::from_nanoseconds(
            expires.nanoseconds().saturating_sub(u64::try_from(self.keys.lease.as_nanos()).unwrap_or(0) / 2),
        );
        if half > now { half } else { (now + self.keys.lease / 12).min(expires) }
    }

    async fn renew(&self, which: Which, notices: &mut watch::Receiver<u64>) {
        notices.mark_unchanged();
        let had = self.keys.has(which);
        let now = self.env.now();
        let limit = if had { self.keys.expires(which) } else { now + self.keys.lease };
        match self.fetch_key(which, limit).await {
            Ok(()) => self.unseal(which).await,
            Err((SealCause::Unreachable, _)) if had && self.env.now() < self.keys.expires(which) => {}
            Err((cause, why)) => self.seal(which, cause, why).await,
        }
    }

    /// Serves again, if both keys are here and everything that has to be read first can be read.
    pub(crate) async fn unseal(&self, which: Which) {
        if self.keys.check().is_ok() {
            return;
        }
        if !(self.keys.has(Which::Data) && self.keys.has(Which::Metadata)) {
            return;
        }
        match self.get_ready().await {
            Ok(()) => {
                self.keys.serve();
                tracing::info!(file_system = %self.id, "the file system serves");
            }
            Err(FsError::Sealed(_)) => {}
            Err(error) => {
                tracing::error!(file_system = %self.id, %error, ?which, "the file system cannot be read");
            }
        }
    }

    /// Stops serving at once, flushes for a while, and wipes the key.
    async fn seal(&self, which: Which, cause: SealCause, why: String) {
        let first = self.keys.check().is_ok() || self.keys.has(which);
        if first {
            tracing::warn!(file_system = %self.id, ?which, ?cause, why, "the file system is sealed");
        }
        self.keys.stop_serving(which, cause, why);
        if !self.keys.has(which) {
            return;
        }
        let flushed = {
            let flush = async {
                self.flush_all().await?;
                self.queue.durable(self.queue.last()).await
            };
            tokio::select! {
                done = flush => done.is_ok(),
                () = self.env.sleep(SEAL_FLUSH_MAX) => false,
            }
        };
        if !flushed {
            self.drop_dirty();
        }
        self.keys.wipe(which);
        self.plain.clear();
        if which == Which::Metadata {
            self.unload_all();
        }
    }
}
