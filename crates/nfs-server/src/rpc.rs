//! ONC RPC above the connection: which program, which procedure, who. An unknown program gets its answer at once: the
//! official client's relay asks for 400123 first and waits. RFC 5531.

use std::collections::hash_map::DefaultHasher;
use std::future::poll_fn;
use std::hash::Hasher as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use bytes::Bytes;
use nfs_state::ConnectionId;
use nfs_wire::nfs4::{self, Compound4Args, CompoundEncoder};
use nfs_wire::rpc::{self, Accepted, CallTrouble, Credential, MismatchInfo, Outcome};
use nfs_wire::xdr::Decoder;
use nfs_wire::{ArgOp, NfsStat4, Rules};

use crate::compound::{Compound, Facts};
use crate::connection::{Call, Service};
use crate::exports::Peer;
use crate::gate::Gate;
use crate::reply::{Reply, ReplyHeader};
use crate::shared::Shared;

/// How much of a request behind SEQUENCE tells it from another on the same slot and sequence.
const FINGERPRINT_BYTES: usize = 1024;

/// One connection's requests.
pub(crate) struct Rpc {
    shared: Arc<Shared>,
    connection: ConnectionId,
    gate: Arc<Gate>,
}

impl Rpc {
    pub(crate) fn new(shared: Arc<Shared>, connection: ConnectionId, peer: Peer, session: Arc<AtomicBool>) -> Self {
        Self { shared, connection, gate: Arc::new(Gate::new(peer, session)) }
    }

    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    fn compound(&self, call: rpc::Call, args: Compound4Args, facts: Facts) -> Call {
        let (shared, gate, connection) = (Arc::clone(&self.shared), Arc::clone(&self.gate), self.connection);
        let weight = args.operations.iter().map(reply_weight).sum();
        let header = ReplyHeader { xid: call.xid };
        let ended = Arc::clone(&self.gate);
        let run = async move {
            match gate.pass(&shared).await {
                Ok(admitted) => {
                    let at = (connection, Arc::clone(&gate));
                    let compound = Compound::new(shared, admitted, at, call.credential);
                    compound.run(args, facts, header).await
                }
                Err(error) => error.status().map(|status| refused(header, &args, status)),
            }
        };
        let answered = async move {
            let reply = guarded(run).await;
            if reply.is_none() {
                ended.end();
            }
            reply.map(Reply::into_parts)
        };
        Call::Run(Box::pin(answered), weight)
    }
}

impl Service for Rpc {
    fn call(&mut self, request: Bytes) -> Call {
        let bytes = request.len();
        let mut decoder = Decoder::new(request);
        let call = match rpc::Call::decode(&mut decoder) {
            Ok(call) => call,
            Err(CallTrouble::Close(_)) => return Call::Close,
            // No callbacks are made, so no reply is expected.
            Err(CallTrouble::IsReply) => return Call::Done(None),
            Err(CallTrouble::Refuse(xid, why)) => return done(Reply::bare(xid, &Outcome::Rejected(why))),
        };
        let accepted = |outcome| done(Reply::bare(call.xid, &Outcome::Accepted(outcome)));
        match (call.program, call.version, call.procedure) {
            (nfs4::PROGRAM, nfs4::VERSION, nfs4::PROCEDURE_NULL) => done(ReplyHeader { xid: call.xid }.empty()),
            (nfs4::PROGRAM, nfs4::VERSION, nfs4::PROCEDURE_COMPOUND) => {
                let content = Compound4Args::behind_sequence(decoder.as_slice()).map_or(0, content);
                match Compound4Args::decode_rest(decoder) {
                    Ok(args) => {
                        let repeatable = args.operations.iter().all(|op| op.rules().contains(Rules::REPEATABLE));
                        let fingerprint = fingerprint(&call.credential, &args, content);
                        self.compound(call, args, Facts { bytes, fingerprint, repeatable })
                    }
                    Err(_) => accepted(Accepted::GarbageArgs),
                }
            }
            (nfs4::PROGRAM, nfs4::VERSION, _) => accepted(Accepted::ProcUnavail),
            (nfs4::PROGRAM, ..) => {
                accepted(Accepted::ProgMismatch(MismatchInfo { low: nfs4::VERSION, high: nfs4::VERSION }))
            }
            _ => accepted(Accepted::ProgUnavail),
        }
    }
}

/// A compound, of which a panic makes silence: its connection ends, others go on. What it held is given back as it is dropped.
async fn guarded(run: impl Future<Output = Option<Reply>>) -> Option<Reply> {
    let mut run = Box::pin(run);
    poll_fn(move |cx| {
        match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
            Ok(poll) => poll,
            // The panic itself is logged by its hook.
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

fn done(reply: Reply) -> Call {
    Call::Done(Some(reply.into_parts()))
}

/// What an operation may bring into memory for its reply.
fn reply_weight(operation: &ArgOp) -> usize {
    let bytes = match operation {
        ArgOp::Read(read) => read.count,
        ArgOp::Readdir(readdir) => readdir.maxcount,
        _ => 0,
    };
    usize::try_from(bytes).unwrap_or(usize::MAX).min(nfs_wire::bounded::PAYLOAD_BYTES_MAX)
}

/// Tells requests apart by who asks and what they ask. Only what stays the same in a retry is part of it: neither the xid, nor
/// the credential's time stamp, the tag, or what SEQUENCE says of the client's other slots. RFC 8881 section 2.10.6.1.3.1.
fn fingerprint(credential: &Credential, args: &Compound4Args, content: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Credential::Sys(sys) = credential {
        hasher.write_u32(sys.uid);
        hasher.write_u32(sys.gid);
    }
    if let Some(ArgOp::Sequence(sequence)) = args.operations.first() {
        hasher.write_u8(u8::from(sequence.cachethis));
    }
    hasher.write_u32(args.declared);
    hasher.write_u64(content);
    hasher.finish()
}

/// Tells what follows SEQUENCE from other operations.
fn content(behind_sequence: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(behind_sequence.get(..behind_sequence.len().min(FINGERPRINT_BYTES)).unwrap_or_default());
    hasher.write_usize(behind_sequence.len());
    hasher.finish()
}

/// The answer of a server that this caller may not use.
pub(crate) fn refused(header: ReplyHeader, args: &Compound4Args, status: NfsStat4) -> Reply {
    let mut out = CompoundEncoder::new(header.encoder(), &args.tag);
    match args.operations.first() {
        _ if args.minorversion != 1 => out.fail(NfsStat4::MinorVersMismatch),
        Some(first) => out.push(&first.failure(status)),
        None => {}
    }
    header.whole(out)
}

#[cfg(test)]
mod tests {
    use super::{Reply, guarded};

    /// Architecture section 1, "Input": a broken invariant of ours costs one connection, not the server, and nothing is said.
    #[tokio::test]
    async fn a_panic_is_silence() {
        let broken = || Vec::<Option<Reply>>::new().pop().unwrap();
        assert!(guarded(async { broken() }).await.is_none());
        let late = async {
            tokio::task::yield_now().await;
            broken()
        };
        assert!(guarded(late).await.is_none());
    }
}
