//! A client: who it is and how long its lease runs. RFC 8881, sections 2.4 and 8.3.
//!
//! Its virtual server renews the lease; the file states where it holds something read it. So it is shared, and what changes in
//! it are single words.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use env::Instant;

/// A virtual server's name: the same on every node and after every restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualServerId(pub [u8; 16]);

/// A client among all virtual servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey {
    /// Where it is a client.
    pub server: VirtualServerId,
    /// Its client id there.
    pub clientid: u64,
}

/// Who sent a request, as far as the RPC header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Principal {
    /// AUTH_NONE.
    Nobody,
    /// AUTH_SYS with this uid.
    Unix(u32),
}

/// A client record that is handed to file states.
#[derive(Debug)]
pub struct Client {
    key: ClientKey,
    owner: Box<[u8]>,
    verifier: [u8; 8],
    principal: Principal,
    renewed: AtomicU64,
    complete: AtomicBool,
    gone: AtomicBool,
    states: AtomicUsize,
}

impl Client {
    pub(crate) fn new(key: ClientKey, owner: &[u8], verifier: [u8; 8], principal: Principal, now: Instant) -> Self {
        Self {
            key,
            owner: owner.into(),
            verifier,
            principal,
            renewed: AtomicU64::new(now.nanoseconds()),
            complete: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            states: AtomicUsize::new(0),
        }
    }

    /// Its key.
    pub const fn key(&self) -> ClientKey {
        self.key
    }

    /// `co_ownerid`.
    pub fn owner(&self) -> &[u8] {
        &self.owner
    }

    /// `co_verifier`: its incarnation.
    pub const fn verifier(&self) -> [u8; 8] {
        self.verifier
    }

    /// Who made the record.
    pub const fn principal(&self) -> Principal {
        self.principal
    }

    /// When it last renewed its lease.
    pub fn renewed(&self) -> Instant {
        Instant::from_nanoseconds(self.renewed.load(Ordering::Relaxed))
    }

    /// Whether its lease has run out. It may still come back, unless somebody wanted what it held.
    pub fn expired(&self, now: Instant, lease: Duration) -> bool {
        self.is_gone() || now.since(self.renewed()) > lease
    }

    /// Whether it said RECLAIM_COMPLETE.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    /// Whether its record was removed; nothing is given to it any more.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// How many stateids it has, on all file systems.
    pub fn states(&self) -> usize {
        self.states.load(Ordering::Relaxed)
    }

    pub(crate) fn renew(&self, now: Instant) {
        self.renewed.fetch_max(now.nanoseconds(), Ordering::Relaxed);
    }

    /// Says whether this was the first time.
    pub(crate) fn complete(&self) -> bool {
        !self.complete.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    pub(crate) fn states_added(&self, count: usize) {
        self.states.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn states_removed(&self, count: usize) {
        self.states.fetch_sub(count, Ordering::Relaxed);
    }
}
