//! Key leases: the unwrapped level-3 keys, for an absolute time from the start of the unwrapping that gave them
//! (Architecture section 5, "Lease").
//!
//! Keys are borrowed under a read lock that a seal waits for. `keeper` renews the leases and seals.

mod keeper;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crypto::{Key, SubkeyCache};
use env::{Env, Instant};
use parking_lot::RwLock;
use storage::BoxFuture;
use tokio::sync::watch;

use crate::{FsError, Result, SealCause, names::Names};

/// No key is used longer than this after the start of its unwrapping, whatever the settings say.
pub const LEASE_MAX: Duration = Duration::from_secs(300);

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
}

/// Whether a file system serves, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// Both keys are at hand.
    Open,
    /// A key is withheld.
    Sealed {
        /// The first key that was missing.
        which: Which,
        /// Whether waiting helps.
        cause: SealCause,
        /// What the key service said.
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
}

/// The two keys of a file system and what is known about them.
pub(crate) struct KeyRing {
    env: Env,
    lease: Duration,
    data: Slot,
    metadata: Slot,
    names: RwLock<Option<Arc<Names>>>,
    /// False from the decision to seal until both keys are back and the file system is ready.
    serving: AtomicBool,
    seals: AtomicU64,
    generation: watch::Sender<u64>,
    state: watch::Sender<LeaseState>,
}

impl KeyRing {
    pub(crate) fn new(env: Env, lease: Duration) -> Self {
        let reason = "not opened yet".to_owned();
        let state = LeaseState::Sealed { which: Which::Metadata, cause: SealCause::Unreachable, reason };
        Self {
            env,
            lease: lease.min(LEASE_MAX),
            data: Slot::default(),
            metadata: Slot::default(),
            names: RwLock::new(None),
            serving: AtomicBool::new(false),
            seals: AtomicU64::new(0),
            generation: watch::Sender::new(0),
            state: watch::Sender::new(state),
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

    fn sealed(&self) -> FsError {
        match &*self.state.borrow() {
            LeaseState::Open => FsError::Sealed(SealCause::Unreachable),
            LeaseState::Sealed { cause, .. } => FsError::Sealed(*cause),
        }
    }

    /// Borrows a key that is at hand. A seal under way waits for the borrower and may itself borrow.
    pub(crate) fn with<T>(&self, which: Which, work: impl FnOnce(&Key, &SubkeyCache) -> T) -> Result<T> {
        match &*self.slot(which).held.read() {
            Some(held) => Ok(work(&held.key, &held.subkeys)),
            None => Err(self.sealed()),
        }
    }

    /// The keyed functions of names; there as long as the metadata key is.
    pub(crate) fn names(&self) -> Result<Arc<Names>> {
        self.names.read().clone().ok_or_else(|| self.sealed())
    }

    pub(crate) fn set_names(&self, names: Names) {
        *self.names.write() = Some(Arc::new(names));
    }

    pub(crate) fn has(&self, which: Which) -> bool {
        self.slot(which).held.read().is_some()
    }

    /// A key has been unwrapped; the unwrapping began at `start`.
    fn install(&self, which: Which, key: Key, start: Instant) {
        let slot = self.slot(which);
        let mut held = slot.held.write();
        slot.start.store(start.nanoseconds(), Ordering::Relaxed);
        slot.expires.store((start + self.lease).nanoseconds(), Ordering::Relaxed);
        let same = held.as_ref().is_some_and(|held| crypto::equal(held.key.expose(), key.expose()));
        if !same {
            *held = Some(Held { key, subkeys: SubkeyCache::new(SUBKEYS) });
        }
    }

    fn expires(&self, which: Which) -> Instant {
        Instant::from_nanoseconds(self.slot(which).expires.load(Ordering::Relaxed))
    }

    fn serve(&self) {
        self.state.send_replace(LeaseState::Open);
        self.serving.store(true, Ordering::Release);
    }

    /// From now on every operation fails; the keys are still there for the flush.
    pub(crate) fn stop_serving(&self, which: Which, cause: SealCause, reason: String) {
        self.seals.fetch_add(1, Ordering::AcqRel);
        self.state.send_replace(LeaseState::Sealed { which, cause, reason });
        self.serving.store(false, Ordering::Release);
    }

    /// Wipes a key and everything expanded from it.
    pub(crate) fn wipe(&self, which: Which) {
        let slot = self.slot(which);
        *slot.held.write() = None;
        slot.expires.store(0, Ordering::Relaxed);
        slot.start.store(0, Ordering::Relaxed);
        if which == Which::Metadata {
            *self.names.write() = None;
        }
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
        LeaseStatus { state: self.state.borrow().clone(), ages, generation: *self.generation.borrow() }
    }
}
