//! Key leases: the unwrapped level-3 keys, for an absolute time from the start of the unwrapping that gave them
//! (Architecture section 5, "Lease").
//!
//! Keys are borrowed under a read lock that a seal waits for. `keeper` renews the leases and seals; `withheld` keeps why a
//! key is not at hand.

mod keeper;
mod withheld;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crypto::{Key, SubkeyCache};
use env::{Env, Instant};
use parking_lot::{Mutex, RwLock};
use storage::BoxFuture;
use tokio::sync::watch;
use withheld::Withheld;

use crate::{FsError, Result, SealCause, names::Names};

/// No key is used longer than this after the start of its unwrapping, whatever the settings say.
pub const LEASE_MAX: Duration = Duration::from_secs(300);

/// A seal flushes for at most this long, with the key still at hand.
pub(crate) const SEAL_FLUSH_MAX: Duration = Duration::from_secs(10);

/// The longest lease: the flush of the seal at its end is within [`LEASE_MAX`], too.
pub const TERM_MAX: Duration = LEASE_MAX.saturating_sub(SEAL_FLUSH_MAX);

/// Expanded subkeys kept for each of the two keys.
const SUBKEYS: usize = 4096;

/// Which of the two level-3 keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Seals file contents.
    Data,
    /// Seals everything else.
    Metadata,
}

/// Why a key could not be unwrapped. The text is for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTrouble {
    /// The key service said no: disabled, pending deletion, denied, not found.
    Refused(String),
    /// The key service did not answer.
    Unreachable(String),
}

/// Where a file system gets its keys unwrapped; called again at each renewal of a lease.
pub trait KeySource: Send + Sync {
    /// Unwraps one key. Every call asks the key service again.
    fn unwrap(&self, which: Which) -> BoxFuture<'_, Result<Key, KeyTrouble>>;

    /// How much longer than a lease a key is used while the key service does not answer, for one that is reached over a
    /// network. It is asked as often as without.
    fn grace(&self, _which: Which) -> Duration {
        Duration::ZERO
    }

    /// Whether every change that withholds the key is told by a notice when it is made. Such a key is asked for again by three
    /// quarters of its lease, any other by half of it.
    fn is_told(&self, _which: Which) -> bool {
        false
    }
}

/// Whether a file system serves, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Both keys are at hand.
    Open,
    /// A key is withheld.
    Sealed {
        /// The key that is missing; of two, the one that was refused.
        which: Which,
        /// Whether waiting helps.
        cause: SealCause,
        /// What the key service said, or why what the keys open cannot be read.
        reason: String,
    },
}

/// The leases as `coffer status` shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Whether the file system serves.
    pub state: LeaseState,
    /// Time since the start of the unwrapping in force: metadata key, data key.
    pub ages: [Option<Duration>; 2],
    /// How much longer each is used if the key service does not answer: metadata key, data key.
    pub left: [Option<Duration>; 2],
    /// Grows with each notice; a renewal of an older generation is thrown away.
    pub generation: u64,
}

/// A key that is at hand, with its expanded subkeys.
struct Held {
    key: Key,
    subkeys: SubkeyCache,
}

#[derive(Default)]
struct Slot {
    held: RwLock<Option<Held>>,
    start: AtomicU64,
    expires: AtomicU64,
    /// No borrower gets the key from here on, whoever is late: [`LEASE_MAX`] after the start.
    ends: AtomicU64,
}

/// The two keys of a file system and what is known about them.
pub(crate) struct KeyRing {
    env: Env,
    lease: Duration,
    /// Decides how much earlier than need be this file system's keys are asked for.
    jitter: u64,
    data: Slot,
    metadata: Slot,
    names: RwLock<Option<Arc<Names>>>,
    /// False from the decision to seal until both keys are back and the file system is ready.
    serving: AtomicBool,
    /// No key is taken in any more.
    closed: AtomicBool,
    seals: AtomicU64,
    generation: watch::Sender<u64>,
    withheld: Mutex<Withheld>,
    state: watch::Sender<LeaseState>,
    metadata_at_hand: watch::Sender<bool>,
    /// Held by all of a seal and all of its undoing: neither key's keeper serves what the other's is sealing, and what
    /// has to be read before serving is read once.
    turn: tokio::sync::Mutex<()>,
}

impl KeyRing {
    pub(crate) fn new(env: Env, lease: Duration) -> Self {
        let reason = "not opened yet".to_owned();
        let state = LeaseState::Sealed { which: Which::Metadata, cause: SealCause::Unreachable, reason };
        Self {
            jitter: u64::from_be_bytes(env.random()),
            env,
            lease: lease.min(TERM_MAX),
            data: Slot::default(),
            metadata: Slot::default(),
            names: RwLock::new(None),
            serving: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            seals: AtomicU64::new(0),
            generation: watch::Sender::new(0),
            withheld: Mutex::default(),
            state: watch::Sender::new(state),
            metadata_at_hand: watch::Sender::new(false),
            turn: tokio::sync::Mutex::const_new(()),
        }
    }

    const fn slot(&self, which: Which) -> &Slot {
        match which {
            Which::Data => &self.data,
            Which::Metadata => &self.metadata,
        }
    }

    /// The gate every operation passes first.
    pub(crate) fn check(&self) -> Result<()> {
        if !self.serving.load(Ordering::Acquire) {
            return Err(self.sealed());
        }
        let now = self.env.now().nanoseconds();
        let expires = [&self.data, &self.metadata].map(|slot| slot.expires.load(Ordering::Relaxed));
        if expires.iter().any(|expires| now >= *expires) {
            // The keeper is late; nobody uses a key beyond its time meanwhile.
            return Err(FsError::Sealed(SealCause::Unreachable));
        }
        Ok(())
    }

    /// The error of whoever needs a key that is not at hand.
    pub(crate) fn sealed(&self) -> FsError {
        let _settled = self.withheld.lock();
        match &*self.state.borrow() {
            LeaseState::Open => FsError::Sealed(SealCause::Unreachable),
            LeaseState::Sealed { cause, .. } => FsError::Sealed(*cause),
        }
    }

    /// Borrows a key that is at hand and within [`LEASE_MAX`]. A seal under way waits for the borrower and may itself
    /// borrow.
    pub(crate) fn with<T>(&self, which: Which, work: impl FnOnce(&Key, &SubkeyCache) -> T) -> Result<T> {
        let slot = self.slot(which);
        match &*slot.held.read() {
            Some(held) if self.env.now().nanoseconds() < slot.ends.load(Ordering::Relaxed) => {
                Ok(work(&held.key, &held.subkeys))
            }
            _ => Err(self.sealed()),
        }
    }

    /// The keyed functions of names; there as long as the metadata key is.
    pub(crate) fn names(&self) -> Result<Arc<Names>> {
        self.names.read().clone().ok_or_else(|| self.sealed())
    }

    /// The names go with the metadata key: without it they are not taken in.
    pub(crate) fn set_names(&self, names: Names) {
        let held = self.metadata.held.read();
        if held.is_some() {
            *self.names.write() = Some(Arc::new(names));
        }
    }

    pub(crate) fn has(&self, which: Which) -> bool {
        self.slot(which).held.read().is_some()
    }

    /// Ends when the metadata key is not at hand: whoever waits for a commit that needs it need not wait on.
    pub(crate) async fn metadata_gone(&self) {
        // The sender is here as long as we are.
        let _ = self.metadata_at_hand.subscribe().wait_for(|here| !here).await;
    }

    /// A key has been unwrapped; the unwrapping began at `start`, in this generation. False if a notice has come since.
    /// It is used for a lease and `grace` from its start.
    fn install(&self, which: Which, key: Key, start: Instant, generation: u64, grace: Duration) -> bool {
        let slot = self.slot(which);
        {
            let mut held = slot.held.write();
            if *self.generation.borrow() != generation {
                return false;
            }
            if self.closed.load(Ordering::Acquire) {
                return true;
            }
            slot.start.store(start.nanoseconds(), Ordering::Relaxed);
            let term = self.lease.saturating_add(grace).min(TERM_MAX);
            slot.expires.store((start + term).nanoseconds(), Ordering::Relaxed);
            slot.ends.store((start + LEASE_MAX).nanoseconds(), Ordering::Relaxed);
            let same = held.as_ref().is_some_and(|held| crypto::equal(held.key.expose(), key.expose()));
            if !same {
                *held = Some(Held { key, subkeys: SubkeyCache::new(SUBKEYS) });
            }
        }
        if which == Which::Metadata {
            self.metadata_at_hand.send_replace(true);
        }
        let mut withheld = self.withheld.lock();
        withheld.given(which);
        self.publish(&withheld);
        true
    }

    fn start(&self, which: Which) -> Instant {
        Instant::from_nanoseconds(self.slot(which).start.load(Ordering::Relaxed))
    }

    fn expires(&self, which: Which) -> Instant {
        Instant::from_nanoseconds(self.slot(which).expires.load(Ordering::Relaxed))
    }

    /// Whether nothing but reading what has to be read first is between here and serving.
    fn may_serve(&self) -> bool {
        self.has(Which::Data) && self.has(Which::Metadata) && self.withheld.lock().is_empty()
    }

    /// Serves, unless a key was withheld meanwhile. Called under the turn.
    fn serve(&self) -> bool {
        let mut withheld = self.withheld.lock();
        if !withheld.is_empty() {
            return false;
        }
        withheld.readable();
        // In this order, so that whoever is told finds the gate open.
        self.serving.store(true, Ordering::Release);
        self.state.send_replace(LeaseState::Open);
        true
    }

    /// Both keys are here, but what has to be read first cannot be read. True if that is news.
    fn unreadable(&self, reason: String) -> bool {
        let mut withheld = self.withheld.lock();
        let news = withheld.unreadable(reason);
        self.publish(&withheld);
        news
    }

    fn publish(&self, withheld: &Withheld) {
        let Some(worst) = withheld.state() else { return };
        self.state.send_if_modified(|state| {
            let news = *state != worst;
            *state = worst;
            news
        });
    }

    /// From now on every operation fails; the keys are still there for the flush. It serves again when each key that
    /// was withheld has been given.
    pub(crate) fn stop_serving(&self, which: Which, cause: SealCause, reason: String) {
        let mut withheld = self.withheld.lock();
        withheld.withhold(which, cause, reason);
        self.seals.fetch_add(1, Ordering::AcqRel);
        // In this order, so that whoever is told finds the gate closed; `sealed` waits for the cause.
        self.serving.store(false, Ordering::Release);
        self.publish(&withheld);
    }

    /// Wipes a key and everything expanded from it.
    pub(crate) fn wipe(&self, which: Which) {
        let slot = self.slot(which);
        {
            let mut held = slot.held.write();
            *held = None;
            for time in [&slot.expires, &slot.ends, &slot.start] {
                time.store(0, Ordering::Relaxed);
            }
            if which == Which::Metadata {
                *self.names.write() = None;
            }
        }
        if which == Which::Metadata {
            self.metadata_at_hand.send_replace(false);
        }
    }

    /// The end: wipes both keys, and takes none in from a renewal that is still on its way.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.stop_serving(Which::Data, SealCause::Unreachable, "closed".to_owned());
        self.wipe(Which::Data);
        self.wipe(Which::Metadata);
    }

    pub(crate) fn notice(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Counts seals: data read before one must not be sent after it.
    pub(crate) fn seals(&self) -> u64 {
        self.seals.load(Ordering::Acquire)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LeaseState> {
        self.state.subscribe()
    }

    pub(crate) fn status(&self) -> LeaseStatus {
        let now = self.env.now();
        let ages = [&self.metadata, &self.data].map(|slot| {
            let start = slot.start.load(Ordering::Relaxed);
            (start != 0).then(|| now.since(Instant::from_nanoseconds(start)))
        });
        let left = [&self.metadata, &self.data].map(|slot| {
            let expires = slot.expires.load(Ordering::Relaxed);
            (expires != 0).then(|| Instant::from_nanoseconds(expires).since(now))
        });
        LeaseStatus { state: self.state.borrow().clone(), ages, left, generation: *self.generation.borrow() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 5, "Lease": a key is used for a lease and the grace of its service, and never beyond the limit
    /// that leaves time for the seal.
    #[test]
    fn a_grace_is_within_the_limit() {
        for (grace, term) in [(0, 60), (100, 160), (10_000, TERM_MAX.as_secs())] {
            let (env, simulation) = Env::simulated(7);
            let ring = KeyRing::new(env.clone(), Duration::from_secs(60));
            for which in [Which::Data, Which::Metadata] {
                let key = Key::take_array(&mut [1; 32]);
                assert!(ring.install(which, key, env.now(), 0, Duration::from_secs(grace)));
            }
            assert!(ring.serve());
            assert_eq!(ring.status().left, [Some(Duration::from_secs(term)); 2]);
            simulation.advance(Duration::from_secs(term) - Duration::from_nanos(1));
            assert_eq!(ring.check(), Ok(()));
            simulation.advance(Duration::from_nanos(1));
            assert_eq!(ring.check(), Err(FsError::Sealed(SealCause::Unreachable)));
        }
    }
}
