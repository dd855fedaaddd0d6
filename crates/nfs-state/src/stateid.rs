//! Stateids: what they look like, the special ones, and the rules for their seqid. RFC 8881, section 8.2.

use nfs_wire::NfsStat4;
use nfs_wire::nfs4::Stateid4;

use crate::client::Client;
use crate::error::StateError;
use crate::file_state::{FileState, State};

/// What a READ, a WRITE or a SETATTR of the size does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoAccess {
    /// READ.
    Read,
    /// WRITE, and SETATTR that changes the size.
    Write,
}

/// What a stateid stands for.
pub(crate) enum Meaning {
    /// All zeros: no open.
    Anonymous,
    /// All ones: no open, and share reservations are ignored for READ.
    ReadBypass,
    /// One that this file state gave out.
    Given(u64),
}

/// The stateid of a state: instance, number, seqid.
pub(crate) fn compose(instance: u32, number: u64, seqid: u32) -> Stateid4 {
    let mut other = [0; 12];
    let bytes = [instance.to_be_bytes().as_slice(), &number.to_be_bytes()].concat();
    for (place, byte) in other.iter_mut().zip(bytes) {
        *place = byte;
    }
    Stateid4 { seqid, other }
}

/// The seqid after this one; zero is skipped, since it means "the newest". RFC 8881, section 8.2.2.
pub(crate) const fn next_seqid(seqid: u32) -> u32 {
    match seqid.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

/// Whether the seqid is the current one, or asks for it.
pub(crate) const fn check_seqid(given: u32, current: u32) -> Result<(), StateError> {
    if given == 0 || given == current {
        Ok(())
    } else if current.wrapping_sub(given) < u32::MAX / 2 {
        Err(StateError::OldStateid)
    } else {
        Err(StateError::BadStateid)
    }
}

impl FileState {
    pub(crate) fn meaning(&self, stateid: &Stateid4) -> Result<Meaning, StateError> {
        if *stateid == Stateid4::ANONYMOUS {
            return Ok(Meaning::Anonymous);
        }
        if *stateid == Stateid4::READ_BYPASS {
            return Ok(Meaning::ReadBypass);
        }
        let (instance, number) = stateid.other.split_at(4);
        // The rest of the special values, the current stateid included, mean nothing where one of ours is wanted.
        if stateid.other == [0; 12] || stateid.other == [0xff; 12] {
            return Err(StateError::BadStateid);
        }
        // RFC 8881 §15.1.16.5: NFS4ERR_STALE_STATEID is of 4.0. Of an earlier instance or of another file system, it is none of ours.
        if instance != self.instance.to_be_bytes() {
            return Err(StateError::BadStateid);
        }
        let number = number.first_chunk().copied().map(u64::from_be_bytes);
        number.map(Meaning::Given).ok_or(StateError::BadStateid)
    }

    /// The state of a stateid of this client, with its seqid checked.
    pub(crate) fn find(&self, client: &Client, stateid: &Stateid4) -> Result<(u64, &State), StateError> {
        let Meaning::Given(number) = self.meaning(stateid)? else { return Err(StateError::BadStateid) };
        let state = self.states.get(&number).ok_or(StateError::BadStateid)?;
        if state.client() != client.key() {
            return Err(StateError::BadStateid);
        }
        check_seqid(stateid.seqid, state.seqid())?;
        Ok((number, state))
    }

    /// One stateid of a TEST_STATEID. RFC 8881, section 18.48.
    pub fn test_stateid(&self, client: &Client, stateid: &Stateid4) -> NfsStat4 {
        self.find(client, stateid).map_or_else(|error| error.status(), |_| NfsStat4::Ok)
    }

    /// FREE_STATEID: only a lock stateid without locks can be freed. RFC 8881, section 18.38.
    pub fn free_stateid(&mut self, client: &Client, stateid: &Stateid4) -> Result<(), StateError> {
        let (number, state) = self.find(client, stateid)?;
        match state {
            State::Open(_) => Err(StateError::LocksHeld),
            State::Lock(lock) if self.holds_locks(lock.file, number) => Err(StateError::LocksHeld),
            State::Lock(_) => {
                self.remove_lock_state(number);
                Ok(())
            }
        }
    }
}
