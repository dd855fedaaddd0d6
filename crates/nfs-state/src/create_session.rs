//! CREATE_SESSION: the four phases of RFC 8881, section 18.36.4, and what a session's channels are given.

use env::Instant;
use nfs_wire::List;
use nfs_wire::nfs4::{
    ChannelAttrs4, CreateSession4Args, CreateSession4Resok, SessionId4, create_session_flags as flags,
};

use crate::client::Principal;
use crate::error::StateError;
use crate::session::{ConnectionId, Session};
use crate::virtual_server::{Dropped, VirtualServer};

/// A channel below this could not carry a SEQUENCE alone.
const MESSAGE_BYTES_MIN: u32 = 128;
/// CB_SEQUENCE and one more.
const BACK_OPERATIONS_MIN: u32 = 2;
/// The bit of a session's number that says that the session is persistent.
const PERSISTENT: u32 = 1 << 31;

impl VirtualServer {
    /// CREATE_SESSION. `nonce` makes the session id hard to guess.
    pub fn create_session(
        &mut self,
        now: Instant,
        args: &CreateSession4Args,
        principal: Principal,
        connection: ConnectionId,
        nonce: [u8; 4],
        dropped: &mut Dropped,
    ) -> Result<CreateSession4Resok, StateError> {
        // 1. Client record look up.
        let record = self.clients.get(&args.clientid).ok_or(StateError::StaleClientId)?;
        if !record.confirmed && record.client.expired(now, self.config.lease) {
            return Err(StateError::StaleClientId);
        }
        // 2. Sequence id processing. Only success is kept: a failure changes nothing, so trying it again is a retry enough.
        if args.sequence == record.sequence {
            return record.created.clone().ok_or(StateError::SequenceMisordered);
        }
        if args.sequence != record.sequence.wrapping_add(1) {
            return Err(StateError::SequenceMisordered);
        }
        // 3. Client id confirmation.
        if !record.confirmed && record.client.principal() != principal {
            return Err(StateError::ClientInUse);
        }
        // 4. Session creation.
        if args.flags & !flags::MASK != 0 {
            return Err(StateError::Invalid);
        }
        if record.sessions.len() >= self.config.limits.sessions_per_client_max {
            return Err(StateError::NoRoom);
        }
        let fore = self.fore_channel(&args.fore_chan_attrs)?;
        let back = back_channel(&args.back_chan_attrs)?;
        let persist = if self.config.persistent { flags::PERSIST } else { 0 };
        let granted = args.flags & (persist | flags::CONN_BACK_CHAN);
        let resok = CreateSession4Resok {
            sessionid: self.fresh_session_id(granted & flags::PERSIST != 0, nonce),
            sequence: args.sequence,
            flags: granted,
            fore_chan_attrs: fore,
            back_chan_attrs: back,
        };
        self.install(now, args.clientid, &resok, connection, dropped);
        Ok(resok)
    }

    fn install(
        &mut self,
        now: Instant,
        clientid: u64,
        resok: &CreateSession4Resok,
        connection: ConnectionId,
        dropped: &mut Dropped,
    ) {
        let Some(record) = self.clients.get_mut(&clientid) else { return };
        record.sequence = resok.sequence;
        record.created = Some(resok.clone());
        record.sessions.push(resok.sessionid);
        record.client.renew(now);
        let mut session =
            Session::new(record.client.clone(), &resok.fore_chan_attrs, resok.flags & flags::PERSIST != 0);
        session.bind(connection, self.config.limits.connections_per_session_max);
        self.reserved_bytes = self.reserved_bytes.saturating_add(session.reserved_bytes());
        self.sessions.insert(resok.sessionid, session);
        if !record.confirmed {
            record.confirmed = true;
            let owner = record.client.owner().to_vec();
            if let Some(records) = self.owners.get_mut(owner.as_slice()) {
                records.unconfirmed = None;
                let replaced = records.confirmed.replace(clientid);
                // The earlier incarnation of the client is gone with all it held. RFC 8881 §18.35.4, case 5.
                if let Some(replaced) = replaced {
                    self.remove_client(replaced, dropped);
                }
            }
        }
    }

    /// Nothing may grow beyond what was asked for, except that operations and slots are the server's to choose.
    fn fore_channel(&self, asked: &ChannelAttrs4) -> Result<ChannelAttrs4, StateError> {
        let limits = &self.config.limits;
        if asked.maxrequestsize < MESSAGE_BYTES_MIN || asked.maxresponsesize < MESSAGE_BYTES_MIN {
            return Err(StateError::TooSmall);
        }
        let maxresponsesize = asked.maxresponsesize.min(limits.message_bytes_max);
        let cached = asked.maxresponsesize_cached.min(maxresponsesize).min(limits.cached_reply_bytes_max);
        let free = limits.reply_cache_bytes_max.saturating_sub(self.reserved_bytes);
        let affordable = u32::try_from(free / u64::from(Session::slot_bytes(cached))).unwrap_or(u32::MAX);
        if affordable == 0 {
            return Err(StateError::NoRoom);
        }
        Ok(ChannelAttrs4 {
            headerpadsize: 0,
            maxrequestsize: asked.maxrequestsize.min(limits.message_bytes_max),
            maxresponsesize,
            maxresponsesize_cached: cached,
            maxoperations: asked.maxoperations.clamp(1, limits.operations_max),
            // The nearer the end of the memory, the fewer: nobody takes the last of it at once.
            maxrequests: asked.maxrequests.clamp(1, limits.slots_max).min((affordable / 8).max(1)),
            rdma_ird: List::empty(),
        })
    }

    /// Instance, virtual server, number with a bit for persistence, nonce. They tell what a session of an earlier instance was.
    fn fresh_session_id(&mut self, persistent: bool, nonce: [u8; 4]) -> SessionId4 {
        let number = (self.next_session & !PERSISTENT) | if persistent { PERSISTENT } else { 0 };
        self.next_session = self.next_session.wrapping_add(1);
        let mut id = SessionId4::default();
        let words = [self.config.instance.to_be_bytes(), self.tag(), number.to_be_bytes(), nonce];
        for (place, byte) in id.iter_mut().zip(words.iter().flatten()) {
            *place = *byte;
        }
        id
    }

    /// Whether the session is a persistent one of this virtual server, but of an earlier instance of it. One that was not
    /// persistent is gone without a trace, and NFS4ERR_BADSESSION. RFC 8881, section 15.1.11.
    pub(crate) fn is_of_earlier_instance(&self, id: &SessionId4) -> bool {
        let (instance, rest) = id.split_at(4);
        let persistent = id.get(8).is_some_and(|byte| byte & 0x80 != 0);
        persistent && instance != self.config.instance.to_be_bytes() && rest.starts_with(&self.tag())
    }

    fn tag(&self) -> [u8; 4] {
        self.config.id.0.first_chunk().copied().unwrap_or_default()
    }
}

/// No callback is ever made, so the client's own values stand. RFC 8881 §18.36.3 forbids changing operations and requests.
fn back_channel(asked: &ChannelAttrs4) -> Result<ChannelAttrs4, StateError> {
    if asked.maxrequestsize < MESSAGE_BYTES_MIN
        || asked.maxresponsesize < MESSAGE_BYTES_MIN
        || asked.maxoperations < BACK_OPERATIONS_MIN
    {
        return Err(StateError::TooSmall);
    }
    Ok(ChannelAttrs4 { headerpadsize: 0, rdma_ird: List::empty(), ..asked.clone() })
}
