//! LOCK, LOCKT and LOCKU. RFC 8881, sections 9.1 to 9.6, 18.10 to 18.12. Locks are advisory: READ and WRITE do not look at them.

use std::sync::Arc;

use env::Instant;
use nfs_wire::Opaque;
use nfs_wire::nfs4::{Lock4Denied, NfsLockType4, StateOwner4, Stateid4, share};

use crate::client::{Client, ClientKey};
use crate::error::StateError;
use crate::file_state::{Effects, File, FileState, LockState, State};
use crate::ranges::{Held, OwnerName, Range, conflicts, give_back, splits, take};
use crate::stateid::{compose, next_seqid};

/// Whose lock it is to be.
#[derive(Debug, Clone, Copy)]
pub enum Locker<'a> {
    /// A lock owner's first lock through this open.
    FromOpen {
        /// The open stateid.
        stateid: Stateid4,
        /// The lock owner.
        owner: &'a [u8],
    },
    /// A lock owner that has a lock stateid.
    Known {
        /// The lock stateid.
        stateid: Stateid4,
    },
}

/// A byte-range lock to be taken.
#[derive(Debug, Clone, Copy)]
pub struct LockRequest<'a> {
    /// The fileid.
    pub file: u64,
    /// Its type; waiting types are refused like the others, and the client asks again.
    pub kind: NfsLockType4,
    /// The first byte.
    pub offset: u64,
    /// How many; all ones for "to the end".
    pub length: u64,
    /// Whether it is a reclaim.
    pub reclaim: bool,
    /// Whose it is.
    pub locker: Locker<'a>,
}

/// A byte-range lock that is only asked about.
#[derive(Debug, Clone, Copy)]
pub struct LockTest<'a> {
    /// The fileid.
    pub file: u64,
    /// Its type.
    pub kind: NfsLockType4,
    /// The first byte.
    pub offset: u64,
    /// How many; all ones for "to the end".
    pub length: u64,
    /// The lock owner whose own locks do not count.
    pub owner: &'a [u8],
}

const fn is_write(kind: NfsLockType4) -> bool {
    matches!(kind, NfsLockType4::Write | NfsLockType4::Writew)
}

impl FileState {
    /// LOCK.
    pub fn lock(
        &mut self,
        now: Instant,
        client: &Arc<Client>,
        request: &LockRequest<'_>,
        effects: &mut Effects,
    ) -> Result<Stateid4, StateError> {
        let range = Range::read(request.offset, request.length)?;
        let write = is_write(request.kind);
        let (open, owner) = self.locker(client, request)?;
        self.check_lock_mode(open, write)?;
        self.admit(now, client, request.reclaim, effects)?;
        self.clear_locks(now, request.file, &owner, range, write, effects)
            .map_err(|error| if request.reclaim { StateError::ReclaimConflict } else { error })?;
        self.check_lock_quota(client, request.file)?;
        self.make_room_for_locker(client, request.file, &owner)?;
        let number = self.lock_state(client, request.file, open, &owner);
        self.change_ranges(request.file, owner.0, |held| take(held, &owner, number, range, write));
        effects.durable = self.ticket();
        self.advance(number)
    }

    /// LOCKT.
    pub fn lockt(
        &mut self,
        now: Instant,
        client: &Client,
        test: &LockTest<'_>,
        effects: &mut Effects,
    ) -> Result<(), StateError> {
        let range = Range::read(test.offset, test.length)?;
        self.settle_grace(now, effects);
        if self.in_grace(now) {
            return Err(StateError::Grace);
        }
        let owner = (client.key(), test.owner.into());
        self.clear_locks(now, test.file, &owner, range, is_write(test.kind), effects)
    }

    /// LOCKU.
    pub fn locku(
        &mut self,
        client: &Client,
        file: u64,
        stateid: &Stateid4,
        (offset, length): (u64, u64),
    ) -> Result<Stateid4, StateError> {
        let range = Range::read(offset, length)?;
        let (number, lock) = self.find_lock(client, file, stateid)?;
        let owner = (lock.client, lock.owner.clone());
        // Cutting a hole makes two locks of one, which counts like taking one; a client at its quota may still give back.
        if self.files.get(&file).is_some_and(|file| splits(&file.held, &owner, range)) {
            self.check_lock_quota(client, file)?;
        }
        self.change_ranges(file, owner.0, |held| give_back(held, &owner, range));
        self.advance(number)
    }

    /// Whether a lock state holds anything.
    pub(crate) fn holds_locks(&self, file: u64, number: u64) -> bool {
        self.files.get(&file).is_some_and(|file| file.held.iter().any(|held| held.state == number))
    }

    /// Ends a lock stateid and gives back what it holds.
    pub(crate) fn remove_lock_state(&mut self, number: u64) {
        let Some(State::Lock(lock)) = self.states.remove(&number) else { return };
        self.unlock_on_file(&lock, number);
        if let Some(holder) = self.holders.get_mut(&lock.client) {
            holder.states.remove(&number);
            holder.client.states_removed(1);
        }
    }

    /// The open and the owner of a request.
    fn locker(&self, client: &Arc<Client>, request: &LockRequest<'_>) -> Result<(u64, OwnerName), StateError> {
        match request.locker {
            Locker::FromOpen { stateid, owner } => {
                let (open, _) = self.find_open(client, request.file, &stateid)?;
                Ok((open, (client.key(), owner.into())))
            }
            Locker::Known { stateid } => {
                let (_, lock) = self.find_lock(client, request.file, &stateid)?;
                Ok((lock.open, (lock.client, lock.owner.clone())))
            }
        }
    }

    fn find_lock(&self, client: &Client, file: u64, stateid: &Stateid4) -> Result<(u64, &LockState), StateError> {
        match self.find(client, stateid)? {
            (number, State::Lock(lock)) if lock.file == file => Ok((number, lock)),
            _ => Err(StateError::BadStateid),
        }
    }

    /// RFC 8881, section 18.10.3: a lock needs an open with the access that it guards.
    fn check_lock_mode(&self, open: u64, write: bool) -> Result<(), StateError> {
        let Some(State::Open(open)) = self.states.get(&open) else { return Err(StateError::BadStateid) };
        let needed = if write { share::ACCESS_WRITE } else { share::ACCESS_READ };
        if open.share.access & needed == 0 { Err(StateError::OpenMode) } else { Ok(()) }
    }

    fn check_lock_quota(&self, client: &Client, file: u64) -> Result<(), StateError> {
        let on_file = self.files.get(&file).map_or(0, |file| file.held.len());
        let of_client = self.holders.get(&client.key()).map_or(0, |holder| holder.locks);
        if on_file >= self.limits.locks_per_file_max || of_client >= self.limits.locks_per_client_max {
            return Err(StateError::Quota);
        }
        Ok(())
    }

    /// Lock stateids are bounded like the locks that they are for: beyond that, one that holds nothing any more gives way.
    fn make_room_for_locker(&mut self, client: &Client, file: u64, owner: &OwnerName) -> Result<(), StateError> {
        if self.files.get(&file).is_some_and(|file| file.lockers.contains_key(owner)) {
            return Ok(());
        }
        let Some(holder) = self.holders.get(&client.key()) else { return Ok(()) };
        if holder.states.len().saturating_sub(holder.opens) < self.limits.locks_per_client_max {
            return Ok(());
        }
        let idle = holder.states.iter().copied().find(|number| match self.states.get(number) {
            Some(State::Lock(lock)) => !self.holds_locks(lock.file, *number),
            _ => false,
        });
        self.remove_lock_state(idle.ok_or(StateError::Quota)?);
        Ok(())
    }

    /// The lock stateid of an owner on a file, made if need be.
    fn lock_state(&mut self, client: &Arc<Client>, file: u64, open: u64, owner: &OwnerName) -> u64 {
        if let Some(number) = self.files.get(&file).and_then(|file| file.lockers.get(owner)) {
            return *number;
        }
        let number = self.fresh_state();
        let lock = LockState { client: owner.0, owner: owner.1.clone(), file, open, seqid: 0 };
        self.states.insert(number, State::Lock(lock));
        self.files.entry(file).or_default().lockers.insert(owner.clone(), number);
        self.holder(client).states.insert(number);
        client.states_added(1);
        number
    }

    /// Changes the ranges of one client on a file and keeps its count.
    fn change_ranges(&mut self, file: u64, client: ClientKey, change: impl FnOnce(&mut Vec<Held>)) {
        let Some(file) = self.files.get_mut(&file) else { return };
        let before = file.held.len();
        change(&mut file.held);
        let after = file.held.len();
        if let Some(holder) = self.holders.get_mut(&client) {
            holder.locks = holder.locks.saturating_add(after).saturating_sub(before);
        }
    }

    fn advance(&mut self, number: u64) -> Result<Stateid4, StateError> {
        let instance = self.instance;
        let Some(State::Lock(lock)) = self.states.get_mut(&number) else { return Err(StateError::BadStateid) };
        lock.seqid = next_seqid(lock.seqid);
        Ok(compose(instance, number, lock.seqid))
    }

    /// Sees to it that no lock stands in the way: those of clients whose lease has run out are taken from them, but only if that
    /// is enough.
    fn clear_locks(
        &mut self,
        now: Instant,
        file: u64,
        owner: &OwnerName,
        range: Range,
        write: bool,
        effects: &mut Effects,
    ) -> Result<(), StateError> {
        let Some(File { held, .. }) = self.files.get(&file) else { return Ok(()) };
        let mut holders = Vec::new();
        for lock in conflicts(held, owner, range, write) {
            if !self.is_expired(lock.owner.0, now) {
                return Err(StateError::Denied(Box::new(describe(lock))));
            }
            holders.push(lock.owner.0);
        }
        holders.sort_unstable();
        holders.dedup();
        if !holders.is_empty() {
            self.expire_holders(holders, effects);
        }
        Ok(())
    }
}

/// The lock in the way, as LOCK and LOCKT tell of it.
fn describe(lock: &Held) -> Lock4Denied {
    // An owner came through a type with the same limit.
    let owner = Opaque::copied(&lock.owner.1).unwrap_or_default();
    Lock4Denied {
        offset: lock.range.first,
        length: lock.range.length(),
        locktype: if lock.write { NfsLockType4::Write } else { NfsLockType4::Read },
        owner: StateOwner4 { clientid: lock.owner.0.clientid, owner },
    }
}
