//! A client with a session of its own: EXCHANGE_ID, CREATE_SESSION, RECLAIM_COMPLETE, and then requests on slots. RFC 8881,
//! section 2.10.

use std::time::{Duration, Instant};

use bytes::Bytes;
use nfs_wire::nfs4::{
    self, AuthsysParms, ChannelAttrs4, ClientOwner4, Compound4Res, CreateSession4Args, DestroyClientid4Args,
    DestroySession4Args, ExchangeId4Args, ReclaimComplete4Args, Sequence4Args, SessionId4, StateOwner4, StateProtect4A,
};
use nfs_wire::rpc::{Accepted, Call, Credential, Outcome, RecordMark, ReplyHeader};
use nfs_wire::{ArgOp, Attribute, Decoder, Encoder, List, Opaque, ResOp, Xdr};

use super::connection::Connection;
use super::results::{Refusal, Results};
use super::step::{self, Step};

/// How long NFS4ERR_DELAY and NFS4ERR_GRACE are borne: longer than a grace period.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);
/// The pause before the same request is sent again.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// Slots that are asked for; the server may give fewer.
const SLOTS: u32 = 64;
/// Above what any server takes in one message; it says what it takes.
const MESSAGE_BYTES: u32 = 2 << 20;
const SLOT_BITS: u32 = 8;

/// A client and its session on a connection.
pub(crate) struct Session {
    connection: Connection,
    /// The call's header up to the compound, whose xid is written anew for each.
    call: Bytes,
    clientid: u64,
    id: SessionId4,
    slots: Vec<Slot>,
    lease: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    sequence: u32,
    xid: u32,
}

/// The answer to a request.
pub(crate) struct Reply {
    /// The slot that is free again.
    pub(crate) slot: u32,
    /// What came of it.
    pub(crate) outcome: Result<Results, Refusal>,
}

impl Session {
    /// Makes the owner, which must be nobody else's, known to the server.
    pub(crate) async fn establish(connection: Connection, owner: &str) -> Result<Self, String> {
        let mut session =
            Self { connection, call: call(), clientid: 0, id: [0; 16], slots: Vec::new(), lease: Duration::ZERO };
        let exchange = ExchangeId4Args {
            clientowner: ClientOwner4 {
                verifier: *b"loadgen1",
                ownerid: Opaque::copied(owner.as_bytes()).map_err(|error| format!("{owner}: {error}"))?,
            },
            flags: 0,
            state_protect: StateProtect4A::None,
            client_impl_id: List::empty(),
        };
        let ResOp::ExchangeId(Ok(known)) = session.alone(ArgOp::ExchangeId(exchange)).await? else {
            return Err("the reply has no EXCHANGE_ID".to_owned());
        };
        let create = CreateSession4Args {
            clientid: known.clientid,
            sequence: known.sequenceid,
            flags: nfs4::create_session_flags::PERSIST,
            fore_chan_attrs: channel(SLOTS),
            back_chan_attrs: channel(1),
            cb_program: 0x4000_0000,
            sec_parms: List::empty(),
        };
        let ResOp::CreateSession(Ok(created)) = session.alone(ArgOp::CreateSession(create)).await? else {
            return Err("the reply has no CREATE_SESSION".to_owned());
        };
        session.clientid = known.clientid;
        session.id = created.sessionid;
        let slots = created.fore_chan_attrs.maxrequests.clamp(1, SLOTS);
        session.slots = vec![Slot::default(); usize::try_from(slots).unwrap_or(1)];
        session.call_step(&Step::new(&[ArgOp::ReclaimComplete(ReclaimComplete4Args { one_fs: false })])).await?;
        let attributes = session.call_step(&step::lease_time()).await?.attributes()?;
        let seconds =
            u32::decode(&mut attributes.values()).map_err(|error| format!("{:?}: {error}", Attribute::LeaseTime))?;
        session.lease = Duration::from_secs(seconds.into());
        Ok(session)
    }

    /// How many requests may be on their way at once.
    pub(crate) fn slots(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(1)
    }

    /// An open owner of this client.
    pub(crate) fn owner(&self) -> StateOwner4 {
        StateOwner4 { clientid: self.clientid, owner: Opaque::copied(b"loadgen").unwrap_or_default() }
    }

    /// How often a client that has nothing to do says that it is there.
    pub(crate) fn renewal(&self) -> Duration {
        self.lease / 3
    }

    /// Says that the client is there.
    pub(crate) async fn renew(&mut self) -> Result<(), String> {
        self.call_step(&Step::new(&[])).await.map(drop)
    }

    /// Sends a request on a slot that has none.
    pub(crate) async fn send(&mut self, slot: u32, step: &Step) -> Result<(), String> {
        let highest = self.slots().saturating_sub(1);
        let state = self.slots.get_mut(slot as usize).ok_or("a slot that the session has not")?;
        state.sequence = state.sequence.wrapping_add(1);
        state.xid = (state.xid.wrapping_add(1 << SLOT_BITS) & !((1 << SLOT_BITS) - 1)) | slot;
        let xid = state.xid;
        let sequence = ArgOp::Sequence(Sequence4Args {
            sessionid: self.id,
            sequenceid: state.sequence,
            slotid: slot,
            highest_slotid: highest,
            cachethis: step.keep_reply,
        });
        let head = self.head(xid, step.operations + 1, &sequence, step.bytes());
        self.connection.send(&head, &step.parts).await
    }

    /// Waits for the answer to any of the requests that were sent.
    pub(crate) async fn receive(&mut self) -> Result<Reply, String> {
        let (xid, result) = self.answer().await?;
        let slot = xid & ((1 << SLOT_BITS) - 1);
        let state = self.slots.get_mut(slot as usize).filter(|state| state.xid == xid);
        let state = state.ok_or("the server answers what was not asked")?;
        if !matches!(result.resarray.first(), Some(ResOp::Sequence(Ok(_)))) {
            // The slot did not move.
            state.sequence = state.sequence.wrapping_sub(1);
        }
        Ok(Reply { slot, outcome: Results::new(result.status, result.resarray) })
    }

    /// One request while no other is on its way. Patient.
    pub(crate) async fn call_step(&mut self, step: &Step) -> Result<Results, String> {
        let began = Instant::now();
        loop {
            self.send(0, step).await?;
            match self.receive().await?.outcome {
                Ok(results) => return Ok(results),
                Err(refusal) if refusal.is_later() && began.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
                Err(refusal) => return Err(refusal.to_string()),
            }
        }
    }

    /// Takes leave of the server, which then holds nothing of this client any more.
    pub(crate) async fn destroy(mut self) -> Result<(), String> {
        self.alone(ArgOp::DestroySession(DestroySession4Args { sessionid: self.id })).await?;
        self.alone(ArgOp::DestroyClientid(DestroyClientid4Args { clientid: self.clientid })).await?;
        Ok(())
    }

    /// An operation outside the session, alone in its compound.
    async fn alone(&mut self, operation: ArgOp) -> Result<ResOp, String> {
        let began = Instant::now();
        loop {
            let head = self.head(0, 1, &operation, 0);
            self.connection.send(&head, &[]).await?;
            let (_, mut result) = self.answer().await?;
            let last = result.resarray.pop();
            match Results::new(result.status, last.clone().into_iter().collect()) {
                Ok(_) => return last.ok_or_else(|| format!("the reply has no {}", operation.name())),
                Err(refusal) if refusal.is_later() && began.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
                Err(refusal) => return Err(refusal.to_string()),
            }
        }
    }

    /// The record's mark and the compound up to its first operation, that one included; `more` bytes follow.
    fn head(&self, xid: u32, operations: u32, first: &ArgOp, more: usize) -> Bytes {
        let mut encoder = Encoder::with_capacity(256);
        let mark = encoder.mark();
        encoder.u32(0);
        let start = encoder.len();
        let place = encoder.mark();
        encoder.raw(&self.call);
        encoder.overwrite_u32(place, xid);
        encoder.u32(operations);
        first.encode(&mut encoder);
        let bytes = u32::try_from(encoder.len() - start + more).unwrap_or(u32::MAX);
        encoder.overwrite_u32(mark, u32::from_be_bytes(RecordMark::whole(bytes).to_wire()));
        encoder.into_bytes()
    }

    async fn answer(&mut self) -> Result<(u32, Compound4Res), String> {
        let malformed = |error| format!("the server's reply is malformed: {error}");
        let mut decoder = Decoder::new(self.connection.receive().await?);
        let header = ReplyHeader::decode(&mut decoder).map_err(malformed)?;
        if header.outcome != Outcome::Accepted(Accepted::Success) {
            return Err(format!("the server refuses the call: {:?}", header.outcome));
        }
        let result = Compound4Res::decode(&mut decoder).map_err(malformed)?;
        decoder.finish().map_err(malformed)?;
        Ok((header.xid, result))
    }
}

fn channel(maxrequests: u32) -> ChannelAttrs4 {
    ChannelAttrs4 {
        headerpadsize: 0,
        maxrequestsize: MESSAGE_BYTES,
        maxresponsesize: MESSAGE_BYTES,
        maxresponsesize_cached: 4096,
        maxoperations: 16,
        maxrequests,
        rdma_ird: List::empty(),
    }
}

/// A COMPOUND call by root up to the number of operations: header, credential, an empty tag, the minor version.
fn call() -> Bytes {
    let root = AuthsysParms { stamp: 0, machinename: Opaque::default(), uid: 0, gid: 0, gids: List::empty() };
    let mut encoder = Encoder::new();
    Call {
        xid: 0,
        program: nfs4::PROGRAM,
        version: nfs4::VERSION,
        procedure: nfs4::PROCEDURE_COMPOUND,
        credential: Credential::Sys(root),
    }
    .encode(&mut encoder);
    encoder.opaque(&[]);
    encoder.u32(1);
    encoder.into_bytes()
}
