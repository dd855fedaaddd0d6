//! What clients hold on one file system: the tables, their invariants, and what becomes of a client's part. RFC 8881, section 8.
//!
//! Whatever must be on disk before a reply goes out is queued as [`Durable`] and numbered; each call that may queue says in its
//! [`Effects`] up to which number the caller must wait. So a request never answers on the strength of another's record that is
//! still on its way.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use env::Instant;

use crate::client::{Client, ClientKey, VirtualServerId};
use crate::grace::Grace;
use crate::limits::Limits;
use crate::ranges::Held;
use crate::recovery::Durable;
use crate::share::Open;

/// How far the queue of durable records must be on disk. Tickets only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a call has done besides its result. It counts even if the call failed.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Effects {
    /// Files that nobody has open any more: their holds can go.
    pub released: Vec<u64>,
    /// Clients that lost everything here because their lease had run out and another wanted it. The caller hands each to
    /// `VirtualServer::expire_client`.
    pub expired: Vec<ClientKey>,
    /// No reply before the records up to this ticket are durable.
    pub durable: Ticket,
}

/// A lock owner's locks on a file.
#[derive(Debug)]
pub(crate) struct LockState {
    pub(crate) client: ClientKey,
    pub(crate) owner: Arc<[u8]>,
    pub(crate) file: u64,
    /// The open that it came from.
    pub(crate) open: u64,
    pub(crate) seqid: u32,
}

#[derive(Debug)]
pub(crate) enum State {
    Open(Open),
    Lock(LockState),
}

impl State {
    pub(crate) const fn client(&self) -> ClientKey {
        match self {
            Self::Open(open) => open.client,
            Self::Lock(lock) => lock.client,
        }
    }

    pub(crate) const fn seqid(&self) -> u32 {
        match self {
            Self::Open(open) => open.seqid,
            Self::Lock(lock) => lock.seqid,
        }
    }
}

/// What is held on one file.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// By client and open owner.
    pub(crate) opens: HashMap<(ClientKey, Arc<[u8]>), u64>,
    /// By client and lock owner.
    pub(crate) lockers: HashMap<(ClientKey, Arc<[u8]>), u64>,
    /// Byte-range locks, those of one owner never overlapping.
    pub(crate) held: Vec<Held>,
}

/// What one client holds here.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) client: Arc<Client>,
    pub(crate) states: BTreeSet<u64>,
    pub(crate) opens: usize,
    pub(crate) locks: usize,
    /// Whether its recovery record, for this instance, is queued or on disk.
    pub(crate) recorded: bool,
}

/// The state of one file system.
#[derive(Debug)]
pub struct FileState {
    pub(crate) instance: u32,
    pub(crate) lease: Duration,
    pub(crate) limits: Limits,
    pub(crate) files: HashMap<u64, File>,
    pub(crate) states: HashMap<u64, State>,
    pub(crate) holders: HashMap<ClientKey, Holder>,
    pub(crate) next_state: u64,
    pub(crate) grace: Grace,
    pending: VecDeque<Durable>,
    /// The ticket of the last record that is durable; the pending ones follow it one by one.
    settled: Ticket,
}

impl FileState {
    /// A file system's state at its opening. `instance` differs after each restart. Nothing is granted before `begin_grace`.
    pub fn new(instance: u32, lease: Duration, limits: Limits) -> Self {
        Self {
            instance,
            lease,
            limits,
            files: HashMap::new(),
            states: HashMap::new(),
            holders: HashMap::new(),
            next_state: 1,
            grace: Grace::NotBegun,
            pending: VecDeque::new(),
            settled: Ticket(0),
        }
    }

    /// Whether anybody has the file open. An unlinked file must stay while this is so.
    pub fn is_open(&self, file: u64) -> bool {
        self.files.get(&file).is_some_and(|file| !file.opens.is_empty())
    }

    /// Takes everything from a client whose record is gone: it destroyed its client id, came back as another incarnation, or was
    /// dropped. It may not reclaim.
    pub fn forget_client(&mut self, key: ClientKey, effects: &mut Effects) {
        self.drop_holder(key, effects);
        effects.durable = self.ticket();
    }

    /// The file system is dropped: what its clients held is gone from memory, while their records stay, so that they reclaim.
    pub fn abandon(&mut self) {
        for holder in std::mem::take(&mut self.holders).into_values() {
            holder.client.states_removed(holder.states.len());
        }
        self.states.clear();
        self.files.clear();
    }

    /// The records that are not known to be durable, oldest first, and the ticket of the last. The caller writes them in this
    /// order, waits until they are durable, and calls `made_durable`. Only one such write may be under way at a time.
    pub fn pending(&self) -> (Ticket, Vec<Durable>) {
        (self.ticket(), self.pending.iter().cloned().collect())
    }

    /// The records up to the ticket are durable.
    pub fn made_durable(&mut self, ticket: Ticket) {
        while self.settled < ticket && self.pending.pop_front().is_some() {
            self.settled.0 = self.settled.0.saturating_add(1);
        }
    }

    /// The ticket up to which records are durable.
    pub const fn durable(&self) -> Ticket {
        self.settled
    }

    /// Whether every record is durable.
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether a client of the virtual server holds anything, or has a record of this instance.
    pub fn has_holders_of(&self, server: VirtualServerId) -> bool {
        self.holders.keys().any(|key| key.server == server)
    }

    /// How many opens there are, and how many byte-range locks.
    pub fn counts(&self) -> (usize, usize) {
        self.holders.values().fold((0, 0), |(opens, locks), holder| {
            (opens.saturating_add(holder.opens), locks.saturating_add(holder.locks))
        })
    }

    pub(crate) fn queue(&mut self, record: Durable) {
        self.pending.push_back(record);
    }

    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.settled.0.saturating_add(u64::try_from(self.pending.len()).unwrap_or(u64::MAX)))
    }

    pub(crate) fn fresh_state(&mut self) -> u64 {
        let number = self.next_state;
        self.next_state = self.next_state.wrapping_add(1);
        number
    }

    /// The holder of a client, made on its first state.
    pub(crate) fn holder(&mut self, client: &Arc<Client>) -> &mut Holder {
        self.holders.entry(client.key()).or_insert_with(|| Holder {
            client: client.clone(),
            states: BTreeSet::new(),
            opens: 0,
            locks: 0,
            recorded: false,
        })
    }

    pub(crate) fn is_expired(&self, key: ClientKey, now: Instant) -> bool {
        self.holders.get(&key).is_none_or(|holder| holder.client.expired(now, self.lease))
    }

    /// Takes everything from clients whose lease has run out, for somebody who wants it. Their records go first, so that after a
    /// crash they cannot reclaim what was given away. RFC 8881, section 8.4.2.1.
    pub(crate) fn expire_holders(&mut self, keys: Vec<ClientKey>, effects: &mut Effects) {
        for key in keys {
            if self.drop_holder(key, effects) {
                effects.expired.push(key);
            }
        }
        effects.durable = self.ticket();
    }

    fn drop_holder(&mut self, key: ClientKey, effects: &mut Effects) -> bool {
        let Some(holder) = self.holders.remove(&key) else { return false };
        holder.client.states_removed(holder.states.len());
        for number in &holder.states {
            match self.states.remove(number) {
                Some(State::Open(open)) => self.close_on_file(&open, effects),
                Some(State::Lock(lock)) => self.unlock_on_file(&lock, *number),
                None => {}
            }
        }
        if holder.recorded {
            self.withdraw_record(&holder.client);
        }
        true
    }

    /// Takes an open off its file; the last one releases the file.
    pub(crate) fn close_on_file(&mut self, open: &Open, effects: &mut Effects) {
        let Some(file) = self.files.get_mut(&open.file) else { return };
        file.opens.remove(&(open.client, open.owner.clone()));
        if file.opens.is_empty() {
            effects.released.push(open.file);
        }
        self.tidy_file(open.file);
    }

    /// Takes a lock owner off its file.
    pub(crate) fn unlock_on_file(&mut self, lock: &LockState, number: u64) {
        let Some(file) = self.files.get_mut(&lock.file) else { return };
        let before = file.held.len();
        file.held.retain(|held| held.state != number);
        let freed = before.saturating_sub(file.held.len());
        file.lockers.remove(&(lock.client, lock.owner.clone()));
        if let Some(holder) = self.holders.get_mut(&lock.client) {
            holder.locks = holder.locks.saturating_sub(freed);
        }
        self.tidy_file(lock.file);
    }

    fn tidy_file(&mut self, file: u64) {
        if self.files.get(&file).is_some_and(|file| file.opens.is_empty() && file.lockers.is_empty()) {
            self.files.remove(&file);
        }
    }
}
