//! The compound loop: the table's rules, one operation after the other, stop at the first error; and around it the slot, the
//! stored reply and the wait for durability. RFC 8881 sections 2.10, 16.2 and DESIGN section 2.7.

use std::sync::Arc;

use bytes::Bytes;
use filesystem::{Node, ReplyHold, ReplyKey, Watermark};
use nfs_state::{Client, ConnectionId, ReplyLimits, SlotToken, Verdict};
use nfs_wire::nfs4::{Compound4Args, CompoundEncoder, NfsFh4, Sequence4Args, Stateid4};
use nfs_wire::rpc::Credential;
use nfs_wire::xdr::Encoder;
use nfs_wire::{ArgOp, NfsStat4, ResOp, Rules};

use crate::admission::Admitted;
use crate::exports::FileSystemId;
use crate::handle::{self, Handle};
use crate::server::Shared;
use crate::status::NfsError;
use crate::view::{Object, Seen, View};

/// What the filehandle stands for.
#[derive(Clone)]
pub(crate) enum Place {
    /// The directory of file systems.
    PseudoRoot,
    /// An object of a file system.
    Object(Object),
}

/// The session under which a compound runs.
pub(crate) struct InSession {
    pub(crate) client: Arc<Client>,
    token: SlotToken,
    limits: ReplyLimits,
    persistent: bool,
}

/// One compound as its operations see it.
pub(crate) struct Compound {
    pub(crate) shared: Arc<Shared>,
    pub(crate) admitted: Arc<Admitted>,
    pub(crate) connection: ConnectionId,
    pub(crate) credential: Credential,
    pub(crate) session: Option<InSession>,
    current: Option<Place>,
    saved: Option<Place>,
    current_stateid: Option<Stateid4>,
    saved_stateid: Option<Stateid4>,
    seen: Vec<Arc<Seen>>,
    /// Whether the one changing operation is still to come, and where its reply goes once it has come.
    hold_wanted: bool,
    hold: Option<ReplyHold>,
    /// Set by a failure after which nothing may be answered.
    silent: bool,
}

/// The record of a request, as SEQUENCE judges it.
pub(crate) struct Facts {
    pub(crate) bytes: usize,
    pub(crate) fingerprint: u64,
}

/// What becomes of a compound: the COMPOUND reply behind the RPC header, or silence and the end of the connection.
pub(crate) enum Outcome {
    /// The encoder holds the RPC header and the COMPOUND reply.
    Reply(Encoder),
    /// Nothing may be said.
    Silence,
}

impl Compound {
    pub(crate) fn new(
        shared: Arc<Shared>,
        admitted: Arc<Admitted>,
        connection: ConnectionId,
        credential: Credential,
    ) -> Self {
        Self {
            shared,
            admitted,
            connection,
            credential,
            session: None,
            current: None,
            saved: None,
            current_stateid: None,
            saved_stateid: None,
            seen: Vec::new(),
            hold_wanted: false,
            hold: None,
            silent: false,
        }
    }

    /// Runs the compound; `header` holds the RPC header of the reply.
    pub(crate) async fn run(mut self, args: Compound4Args, facts: Facts, header: Encoder) -> Outcome {
        let start = header.len();
        let mut out = CompoundEncoder::new(header, &args.tag);
        if args.minorversion != 1 {
            out.fail(NfsStat4::MinorVersMismatch);
            return Outcome::Reply(out.into_encoder());
        }
        let declared = args.declared;
        let mut operations = args.operations.into_iter();
        match operations.next() {
            None => return Outcome::Reply(out.into_encoder()),
            Some(ArgOp::Sequence(sequence)) => {
                match self.sequence(&sequence, declared, &facts).await {
                    Begun::Run(reply) => out.push(&reply),
                    Begun::End(results) => {
                        results.iter().for_each(|result| out.push(result));
                        return Outcome::Reply(out.into_encoder());
                    }
                    Begun::Again(reply) => return Outcome::Reply(again(out, start, &reply)),
                    Begun::Silence => return Outcome::Silence,
                }
                self.hold_wanted = self.session.as_ref().is_some_and(|session| session.persistent)
                    && operations.as_slice().iter().filter(|operation| is_stored(operation)).count() == 1;
                self.run_operations(operations, declared, &mut out, start).await;
            }
            Some(first) => self.run_first(first, declared, &mut out).await,
        }
        self.end(out, start).await
    }

    /// An operation without SEQUENCE before it. RFC 8881 section 2.10.2.
    async fn run_first(&mut self, first: ArgOp, declared: u32, out: &mut CompoundEncoder) {
        let rules = first.rules();
        let outside = rules.contains(Rules::OUTSIDE_SESSION) || rules.contains(Rules::ALONE);
        let refused = match &first {
            ArgOp::Illegal(_) => Some(NfsStat4::OpIllegal),
            ArgOp::Malformed(_) if outside => Some(NfsStat4::Badxdr),
            _ if !outside => Some(NfsStat4::OpNotInSession),
            _ if declared != 1 => Some(NfsStat4::NotOnlyOp),
            _ => None,
        };
        let result = match refused {
            Some(status) => first.failure(status),
            None => self.dispatch(first).await,
        };
        out.push(&result);
    }

    async fn run_operations(
        &mut self,
        operations: std::vec::IntoIter<ArgOp>,
        declared: u32,
        out: &mut CompoundEncoder,
        start: usize,
    ) {
        for operation in operations {
            let number = operation.number();
            let result = match self.check(&operation, declared) {
                Some(status) => operation.failure(status),
                None => self.dispatch(operation).await,
            };
            let failed = result.status() != NfsStat4::Ok;
            out.push(&result);
            if let Some(status) = self.too_big(out.len(), start) {
                out.replace_last(&ResOp::failure(number, status));
                return;
            }
            if failed || self.silent {
                return;
            }
        }
    }

    /// The rules of the operation's row that stand against it.
    fn check(&self, operation: &ArgOp, declared: u32) -> Option<NfsStat4> {
        let rules = operation.rules();
        match operation {
            ArgOp::Illegal(_) => return Some(NfsStat4::OpIllegal),
            ArgOp::Malformed(_) => return Some(NfsStat4::Badxdr),
            ArgOp::Unsupported(_) => return Some(NfsStat4::Notsupp),
            _ => {}
        }
        if rules.contains(Rules::FIRST_ONLY) {
            return Some(NfsStat4::SequencePos);
        }
        if rules.contains(Rules::ALONE) && declared != 1 {
            return Some(NfsStat4::NotOnlyOp);
        }
        if rules.contains(Rules::FH) && self.current.is_none() {
            return Some(NfsStat4::Nofilehandle);
        }
        if rules.contains(Rules::SAVED_FH) && self.saved.is_none() {
            return Some(NfsStat4::Nofilehandle);
        }
        if rules.contains(Rules::MODIFIES)
            && !matches!(operation, ArgOp::Open(_))
            && matches!(&self.current, Some(Place::PseudoRoot))
        {
            return Some(NfsStat4::Rofs);
        }
        None
    }

    fn too_big(&self, length: usize, start: usize) -> Option<NfsStat4> {
        let limits = self.session.as_ref()?.limits;
        let _ = start;
        if length > limits.bytes_max {
            return Some(NfsStat4::RepTooBig);
        }
        limits.cached_bytes_max.filter(|max| length > *max).map(|_| NfsStat4::RepTooBigToCache)
    }

    /// SEQUENCE: the slot, or what else becomes of the request.
    async fn sequence(&mut self, args: &Sequence4Args, declared: u32, facts: &Facts) -> Begun {
        let verdict = {
            let mut server = self.admitted.server.state.lock();
            let facts = nfs_state::RequestFacts {
                bytes: facts.bytes,
                operations: declared,
                fingerprint: facts.fingerprint,
            };
            server.sequence(self.shared.env.now(), args, facts, self.connection)
        };
        let refuse = |status| Begun::End(vec![ResOp::Sequence(Err(status))]);
        match verdict {
            Verdict::Run(admitted) => {
                let admitted = *admitted;
                let mut resok = admitted.resok;
                resok.status_flags |= self.admitted.sequence_flags(&admitted.client);
                self.session = Some(InSession {
                    client: admitted.client,
                    token: admitted.token,
                    limits: admitted.limits,
                    persistent: admitted.persistent,
                });
                Begun::Run(ResOp::Sequence(Ok(resok)))
            }
            Verdict::Replay(reply) => Begun::Again(reply),
            Verdict::ReplayUncached(resok) => {
                Begun::End(vec![ResOp::Sequence(Ok(*resok))])
            }
            Verdict::EarlierInstance => {
                let key = ReplyKey { session: args.sessionid, slot: args.slotid, sequence: args.sequenceid };
                match self.admitted.stored_reply(&key).await {
                    Ok(Some(reply)) => Begun::Again(reply),
                    Ok(None) => refuse(NfsStat4::Deadsession),
                    Err(error) => error.status().map_or(Begun::Silence, refuse),
                }
            }
            Verdict::Refuse(status) => refuse(status),
        }
    }

    /// The end of a compound: its reply is stored with its change, what it saw becomes durable, the slot is free again.
    async fn end(mut self, out: CompoundEncoder, start: usize) -> Outcome {
        let encoder = out.into_encoder();
        let mut silent = self.silent;
        // Only what a slot keeps, or the batch stores, is needed in one piece.
        let mut body = None;
        if let Some(session) = &self.session {
            let kept = encoder.len().saturating_sub(start);
            if self.hold.is_some() || session.limits.cached_bytes_max.is_some_and(|max| kept <= max) || kept <= 4096 {
                body = Some(encoder.body_from(start));
            }
        }
        if let Some(hold) = self.hold.take()
            && let Some(body) = &body
            && !silent
            && let Some(seen) = self.seen.first()
        {
            hold.finish(body.clone(), &seen.watermark);
        }
        for seen in &self.seen {
            if seen.served.filesystem.durable(&seen.watermark).await.is_err() {
                silent = true;
            }
        }
        if let Some(session) = self.session.take() {
            let mut server = self.admitted.server.state.lock();
            server.finish(&session.token, body.unwrap_or_default());
        }
        if silent { Outcome::Silence } else { Outcome::Reply(encoder) }
    }
}
