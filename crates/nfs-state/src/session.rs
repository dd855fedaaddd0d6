//! A session: its slots, its reply cache and the connections bound to it. RFC 8881, sections 2.10.5 and 2.10.6.

use std::sync::Arc;

use bytes::Bytes;
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::{ChannelAttrs4, Sequence4Args, Sequence4Resok, SessionId4};

use crate::client::Client;

/// A connection, by a number that the caller never uses again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What SEQUENCE must know of the request around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFacts {
    /// The record's length, record mark excluded.
    pub bytes: usize,
    /// How many operations the compound declares, SEQUENCE included.
    pub operations: u32,
    /// A hash of what stays the same when the request is sent again, so that a false retry is seen.
    pub fingerprint: u64,
    /// Whether the request may run twice, since it only reads. See [`nfs_wire::Rules::REPEATABLE`].
    pub repeatable: bool,
}

/// What a reply may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Above this: NFS4ERR_REP_TOO_BIG. RPC header included.
    pub bytes_max: usize,
    /// Above this: NFS4ERR_REP_TOO_BIG_TO_CACHE; none if the client does not ask to keep the reply.
    pub cached_bytes_max: Option<usize>,
    /// A reply up to this is kept, whether the client asked for it or not: it is to be handed to `finish`.
    pub kept_bytes_max: usize,
}

/// The right to run one request, to be handed back with its reply.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a slot stays busy until its reply is handed in"]
pub struct SlotToken {
    /// The session.
    pub session: SessionId4,
    /// The slot.
    pub slot: u32,
    /// The request's number on the slot.
    pub sequence: u32,
    fingerprint: u64,
    cachethis: bool,
}

/// A request that may run.
#[derive(Debug)]
pub struct Admitted {
    /// SEQUENCE's own reply.
    pub resok: Sequence4Resok,
    /// To be handed to `finish`.
    pub token: SlotToken,
    /// Whose session it is.
    pub client: Arc<Client>,
    /// What its reply may be.
    pub limits: ReplyLimits,
    /// Whether the session's replies survive a restart.
    pub persistent: bool,
}

/// What becomes of a request that starts with SEQUENCE.
#[derive(Debug)]
pub enum Verdict {
    /// It runs.
    Run(Box<Admitted>),
    /// It ran before: the same reply (the COMPOUND reply behind the RPC header) goes out again.
    Replay(Bytes),
    /// It is a retry of what still runs: its reply will be there soon. NFS4ERR_DELAY would do, but makes clients wait for long.
    InProgress,
    /// It ran before, but its reply was not kept: SEQUENCE succeeds, the next operation is NFS4ERR_RETRY_UNCACHED_REP.
    ReplayUncached(Box<Sequence4Resok>),
    /// It ran before, and whether what it did is durable was not known when it ended: a stored reply for (session, slot,
    /// sequence) if there is one, else NFS4ERR_DEADSESSION.
    ReplyLost,
    /// The session is of an earlier instance: a stored reply for (session, slot, sequence) if there is one, else
    /// NFS4ERR_DEADSESSION.
    EarlierInstance,
    /// SEQUENCE fails, and the slot is as it was.
    Refuse(NfsStat4),
}

/// The reply to the last request of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remembered {
    Whole(Bytes),
    NotKept,
    /// There was none that could have been given.
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    /// Nothing came yet.
    Fresh,
    Idle {
        sequence: u32,
        fingerprint: u64,
        reply: Remembered,
    },
    Busy {
        sequence: u32,
        fingerprint: u64,
    },
}

impl Slot {
    const fn sequence(&self) -> u32 {
        match self {
            Self::Fresh => 0,
            Self::Idle { sequence, .. } | Self::Busy { sequence, .. } => *sequence,
        }
    }
}

/// Replies up to this are kept even if the client does not ask for it: a retry then costs nothing.
const SMALL_REPLY_BYTES: u32 = 512;
/// What a slot takes apart from its reply.
const SLOT_BYTES: u32 = 96;
/// RPC header, COMPOUND header without tag, SEQUENCE's reply.
const REPLY_BYTES_MIN: u32 = 24 + 12 + 44;
/// What `accepted` of the RPC layer writes before a COMPOUND reply.
const RPC_REPLY_BYTES: usize = 24;

/// A session of a client.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    slots: Vec<Slot>,
    request_bytes_max: u32,
    reply_bytes_max: u32,
    cached_bytes_max: u32,
    operations_max: u32,
    persistent: bool,
    connections: Vec<ConnectionId>,
}

impl Session {
    pub(crate) fn new(client: Arc<Client>, fore: &ChannelAttrs4, persistent: bool) -> Self {
        Self {
            client,
            slots: vec![Slot::Fresh; usize::try_from(fore.maxrequests).unwrap_or(usize::MAX)],
            request_bytes_max: fore.maxrequestsize,
            reply_bytes_max: fore.maxresponsesize,
            cached_bytes_max: fore.maxresponsesize_cached,
            operations_max: fore.maxoperations,
            persistent,
            connections: Vec::new(),
        }
    }

    /// The most memory that one slot takes.
    pub(crate) const fn slot_bytes(cached_bytes_max: u32) -> u32 {
        SLOT_BYTES.saturating_add(cached_bytes_max)
    }

    pub(crate) fn reserved_bytes(&self) -> u64 {
        let slots = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        slots.saturating_mul(u64::from(Self::slot_bytes(self.cached_bytes_max)))
    }

    pub(crate) fn connections(&self) -> &[ConnectionId] {
        &self.connections
    }

    /// Binds the connection; beyond the bound the one that was bound first is forgotten.
    pub(crate) fn bind(&mut self, connection: ConnectionId, connections_max: usize) {
        if self.connections.last() == Some(&connection) || self.connections.contains(&connection) {
            return;
        }
        if self.connections.len() >= connections_max {
            self.connections.remove(0);
        }
        self.connections.push(connection);
    }

    pub(crate) fn unbind(&mut self, connection: ConnectionId) {
        self.connections.retain(|bound| *bound != connection);
    }

    fn highest_slot(&self) -> u32 {
        u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn resok(&self, args: &Sequence4Args) -> Sequence4Resok {
        Sequence4Resok {
            sessionid: args.sessionid,
            sequenceid: args.sequenceid,
            slotid: args.slotid,
            highest_slotid: self.highest_slot(),
            target_highest_slotid: self.highest_slot(),
            status_flags: 0,
        }
    }

    /// Whether a new request may run as far as sizes go.
    fn check_sizes(&self, args: &Sequence4Args, facts: RequestFacts) -> Result<(), NfsStat4> {
        if facts.bytes > usize::try_from(self.request_bytes_max).unwrap_or(usize::MAX) {
            return Err(NfsStat4::ReqTooBig);
        }
        if facts.operations > self.operations_max {
            return Err(NfsStat4::TooManyOps);
        }
        if args.cachethis && self.cached_bytes_max < REPLY_BYTES_MIN {
            return Err(NfsStat4::RepTooBigToCache);
        }
        Ok(())
    }

    /// Finds the slot and tells retries from new requests.
    pub(crate) fn sequence(&mut self, args: &Sequence4Args, facts: RequestFacts) -> Verdict {
        let resok = self.resok(args);
        let Some(slot) = usize::try_from(args.slotid).ok().and_then(|index| self.slots.get(index)) else {
            return Verdict::Refuse(NfsStat4::Badslot);
        };
        if args.highest_slotid < args.slotid {
            return Verdict::Refuse(NfsStat4::BadHighSlot);
        }
        if args.sequenceid == slot.sequence() {
            return match slot {
                // RFC 8881 §18.36.4: a fresh slot "remembers" NFS4ERR_SEQ_MISORDERED.
                Slot::Fresh => Verdict::Refuse(NfsStat4::SeqMisordered),
                Slot::Idle { fingerprint, .. } | Slot::Busy { fingerprint, .. }
                    if *fingerprint != facts.fingerprint =>
                {
                    Verdict::Refuse(NfsStat4::SeqFalseRetry)
                }
                Slot::Busy { .. } => Verdict::InProgress,
                Slot::Idle { reply: Remembered::Whole(reply), .. } => Verdict::Replay(reply.clone()),
                Slot::Idle { reply: Remembered::Lost, .. } => Verdict::ReplyLost,
                // Reading once more does no harm, and spares the client an error that it may know no way out of.
                Slot::Idle { reply: Remembered::NotKept, .. } if facts.repeatable => self.run(args, facts),
                Slot::Idle { reply: Remembered::NotKept, .. } => Verdict::ReplayUncached(Box::new(resok)),
            };
        }
        if args.sequenceid != slot.sequence().wrapping_add(1) || matches!(slot, Slot::Busy { .. }) {
            return Verdict::Refuse(NfsStat4::SeqMisordered);
        }
        if let Err(status) = self.check_sizes(args, facts) {
            return Verdict::Refuse(status);
        }
        self.run(args, facts)
    }

    /// Takes the slot.
    fn run(&mut self, args: &Sequence4Args, facts: RequestFacts) -> Verdict {
        let resok = self.resok(args);
        self.set_slot(args.slotid, Slot::Busy { sequence: args.sequenceid, fingerprint: facts.fingerprint });
        let bytes = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
        Verdict::Run(Box::new(Admitted {
            resok,
            token: SlotToken {
                session: args.sessionid,
                slot: args.slotid,
                sequence: args.sequenceid,
                fingerprint: facts.fingerprint,
                cachethis: args.cachethis,
            },
            client: self.client.clone(),
            limits: ReplyLimits {
                bytes_max: bytes(self.reply_bytes_max),
                cached_bytes_max: args.cachethis.then(|| bytes(self.cached_bytes_max)),
                kept_bytes_max: self.kept_bytes_max(args.cachethis),
            },
            persistent: self.persistent,
        }))
    }

    fn kept_bytes_max(&self, cachethis: bool) -> usize {
        let limit = if cachethis { self.cached_bytes_max } else { self.cached_bytes_max.min(SMALL_REPLY_BYTES) };
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    pub(crate) fn finish(&mut self, token: &SlotToken, reply: Option<Bytes>) {
        let limit = self.kept_bytes_max(token.cachethis);
        let reply = match reply {
            Some(reply) if reply.len().saturating_add(RPC_REPLY_BYTES) <= limit => Remembered::Whole(reply),
            Some(_) | None => Remembered::NotKept,
        };
        let (sequence, fingerprint) = (token.sequence, token.fingerprint);
        self.set_slot(token.slot, Slot::Idle { sequence, fingerprint, reply });
    }

    pub(crate) fn finish_lost(&mut self, token: &SlotToken) {
        let (sequence, fingerprint) = (token.sequence, token.fingerprint);
        self.set_slot(token.slot, Slot::Idle { sequence, fingerprint, reply: Remembered::Lost });
    }

    fn set_slot(&mut self, index: u32, state: Slot) {
        if let Some(slot) = usize::try_from(index).ok().and_then(|index| self.slots.get_mut(index)) {
            *slot = state;
        }
    }
}
