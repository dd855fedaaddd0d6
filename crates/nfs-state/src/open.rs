//! OPEN, OPEN_DOWNGRADE, CLOSE, and whether data may be read or written. RFC 8881, sections 9.7 to 9.9, 18.2, 18.16 and 18.18.

use std::sync::Arc;

use env::Instant;
use nfs_wire::nfs4::{Stateid4, share};

use crate::client::{Client, ClientKey};
use crate::error::StateError;
use crate::file_state::{Effects, File, FileState, State};
use crate::share::{Open, Share, is_union_of};
use crate::stateid::{IoAccess, Meaning, compose, next_seqid};

/// An open to be made, after the file was found or created.
#[derive(Debug, Clone, Copy)]
pub struct OpenRequest<'a> {
    /// The fileid.
    pub file: u64,
    /// The open owner.
    pub owner: &'a [u8],
    /// Access and denial.
    pub share: Share,
    /// Whether it is CLAIM_PREVIOUS.
    pub reclaim: bool,
}

impl FileState {
    /// Whether an OPEN could be granted, before the file is looked up, created or truncated. Grace, reclaim and quotas.
    ///
    /// The client's record is queued here, so that a caller that waits for it now has nothing to wait for between creating the
    /// file and answering. A record without state harms nobody.
    pub fn admit_open(
        &mut self,
        now: Instant,
        client: &Arc<Client>,
        reclaim: bool,
        effects: &mut Effects,
    ) -> Result<(), StateError> {
        self.admit(now, client, reclaim, effects)?;
        if self.holders.get(&client.key()).is_some_and(|holder| holder.opens >= self.limits.opens_per_client_max) {
            return Err(StateError::Quota);
        }
        self.record(client);
        effects.durable = self.ticket();
        Ok(())
    }

    /// OPEN: makes the open, or widens the one that the owner has.
    pub fn open(
        &mut self,
        now: Instant,
        client: &Arc<Client>,
        request: &OpenRequest<'_>,
        effects: &mut Effects,
    ) -> Result<Stateid4, StateError> {
        self.admit_open(now, client, request.reclaim, effects)?;
        self.clear_shares(now, request.file, |open| request.share.conflicts_with(open.share), effects)
            .map_err(|()| if request.reclaim { StateError::ReclaimConflict } else { StateError::ShareDenied })?;
        effects.durable = self.ticket();
        Ok(self.add_open(client, request))
    }

    /// Whether an OPEN with this share would be refused, for a caller that wants to know before it truncates.
    pub fn check_share(&self, now: Instant, file: u64, share: Share) -> Result<(), StateError> {
        let conflict = |open: &Open| share.conflicts_with(open.share) && !self.is_expired(open.client, now);
        match self.opens_of(file).any(conflict) {
            true => Err(StateError::ShareDenied),
            false => Ok(()),
        }
    }

    fn add_open(&mut self, client: &Arc<Client>, request: &OpenRequest<'_>) -> Stateid4 {
        let owner: Arc<[u8]> = request.owner.into();
        let name = (client.key(), owner.clone());
        let known = self.files.get(&request.file).and_then(|file| file.opens.get(&name)).copied();
        let bit = |value: u32| 1_u8.checked_shl(value).unwrap_or(0);
        if let Some(number) = known
            && let Some(State::Open(open)) = self.states.get_mut(&number)
        {
            open.share.access |= request.share.access;
            open.share.deny |= request.share.deny;
            open.accesses |= bit(request.share.access);
            open.denies |= bit(request.share.deny);
            open.seqid = next_seqid(open.seqid);
            return compose(self.instance, number, open.seqid);
        }
        let number = self.fresh_state();
        let open = Open {
            client: client.key(),
            owner,
            file: request.file,
            share: request.share,
            accesses: bit(request.share.access),
            denies: bit(request.share.deny),
            seqid: 1,
        };
        self.states.insert(number, State::Open(open));
        self.files.entry(request.file).or_default().opens.insert(name, number);
        let holder = self.holder(client);
        holder.states.insert(number);
        holder.opens = holder.opens.saturating_add(1);
        client.states_added(1);
        compose(self.instance, number, 1)
    }

    /// OPEN_DOWNGRADE.
    pub fn open_downgrade(
        &mut self,
        client: &Client,
        file: u64,
        stateid: &Stateid4,
        share: Share,
    ) -> Result<Stateid4, StateError> {
        let (number, open) = self.find_open(client, file, stateid)?;
        if !is_union_of(open.accesses, share.access) || !is_union_of(open.denies, share.deny) {
            return Err(StateError::Invalid);
        }
        let instance = self.instance;
        let Some(State::Open(open)) = self.states.get_mut(&number) else { return Err(StateError::BadStateid) };
        open.share = share;
        // What was opened beyond the new union is forgotten.
        for value in 0..4_u32 {
            if value & !share.access != 0 {
                open.accesses &= !(1 << value);
            }
            if value & !share.deny != 0 {
                open.denies &= !(1 << value);
            }
        }
        open.seqid = next_seqid(open.seqid);
        Ok(compose(instance, number, open.seqid))
    }

    /// CLOSE: ends the open and frees the locks that came from it. RFC 8881, section 18.2.3, lets the server do so.
    pub fn close(
        &mut self,
        client: &Client,
        file: u64,
        stateid: &Stateid4,
        effects: &mut Effects,
    ) -> Result<Stateid4, StateError> {
        let (number, _) = self.find_open(client, file, stateid)?;
        let lockers = self.files.get(&file).map(|file| file.lockers.values().copied().collect::<Vec<_>>());
        for locker in lockers.unwrap_or_default() {
            if matches!(self.states.get(&locker), Some(State::Lock(lock)) if lock.open == number) {
                self.remove_lock_state(locker);
            }
        }
        if let Some(State::Open(open)) = self.states.remove(&number) {
            if let Some(holder) = self.holders.get_mut(&open.client) {
                holder.states.remove(&number);
                holder.opens = holder.opens.saturating_sub(1);
            }
            client.states_removed(1);
            self.close_on_file(&open, effects);
        }
        effects.durable = self.ticket();
        Ok(Stateid4::INVALID)
    }

    /// Whether a READ, a WRITE or a SETATTR of the size may go on with this stateid. RFC 8881, sections 8.2.5, 9.1.2 and 9.7.
    pub fn check_io(
        &mut self,
        now: Instant,
        client: &Arc<Client>,
        file: u64,
        stateid: &Stateid4,
        access: IoAccess,
        effects: &mut Effects,
    ) -> Result<(), StateError> {
        let denied = match access {
            IoAccess::Read => share::DENY_READ,
            IoAccess::Write => share::DENY_WRITE,
        };
        match self.meaning(stateid)? {
            Meaning::Given(_) => {
                let own = self.find_io_open(client, file, stateid)?;
                let Some(State::Open(open)) = self.states.get(&own) else { return Err(StateError::BadStateid) };
                match access {
                    IoAccess::Write if open.share.access & share::ACCESS_WRITE == 0 => Err(StateError::OpenMode),
                    // Clients read around what they write; section 18.22.3 allows it unless another open denies reading.
                    IoAccess::Read if open.share.access & share::ACCESS_READ == 0 => {
                        let own = (open.client, open.owner.clone());
                        let another = move |other: &Open| other.client != own.0 || other.owner != own.1;
                        self.clear_shares(now, file, |other| other.share.deny & denied != 0 && another(other), effects)
                            .map_err(|()| StateError::Locked)
                    }
                    IoAccess::Read | IoAccess::Write => Ok(()),
                }
            }
            Meaning::ReadBypass if access == IoAccess::Read && !self.in_grace(now) => Ok(()),
            Meaning::Anonymous | Meaning::ReadBypass => {
                // Somebody may still reclaim an open that denies it. RFC 8881 §8.4.2.1.
                self.settle_grace(now, effects);
                if self.in_grace(now) {
                    return Err(StateError::Grace);
                }
                self.clear_shares(now, file, |open| open.share.deny & denied != 0, effects)
                    .map_err(|()| StateError::Locked)
            }
        }
    }

    /// The open behind an open stateid or a lock stateid of the file.
    fn find_io_open(&self, client: &Client, file: u64, stateid: &Stateid4) -> Result<u64, StateError> {
        match self.find(client, stateid)? {
            (number, State::Open(open)) if open.file == file => Ok(number),
            (_, State::Lock(lock)) if lock.file == file => Ok(lock.open),
            _ => Err(StateError::BadStateid),
        }
    }

    pub(crate) fn find_open(&self, client: &Client, file: u64, stateid: &Stateid4) -> Result<(u64, &Open), StateError> {
        match self.find(client, stateid)? {
            (number, State::Open(open)) if open.file == file => Ok((number, open)),
            _ => Err(StateError::BadStateid),
        }
    }

    fn opens_of(&self, file: u64) -> impl Iterator<Item = &Open> {
        let numbers = self.files.get(&file).into_iter().flat_map(|file: &File| file.opens.values());
        numbers.filter_map(|number| match self.states.get(number) {
            Some(State::Open(open)) => Some(open),
            _ => None,
        })
    }

    /// Sees to it that no open of the file stands in the way: those of clients whose lease has run out are taken from them, but
    /// only if that is enough.
    fn clear_shares(
        &mut self,
        now: Instant,
        file: u64,
        in_the_way: impl Fn(&Open) -> bool,
        effects: &mut Effects,
    ) -> Result<(), ()> {
        let mut holders: Vec<ClientKey> =
            self.opens_of(file).filter(|open| in_the_way(open)).map(|open| open.client).collect();
        if holders.is_empty() {
            return Ok(());
        }
        if holders.iter().any(|key| !self.is_expired(*key, now)) {
            return Err(());
        }
        holders.sort_unstable();
        holders.dedup();
        self.expire_holders(holders, effects);
        Ok(())
    }
}
