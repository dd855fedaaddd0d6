//! The compound loop: the table's rules, one operation after the other, stop at the first error; and around it the slot, the
//! stored reply and the wait for durability. RFC 8881 sections 2.10, 16.2 and Architecture section 2.7.

use nfs_wire::nfs4::{Compound4Args, CompoundEncoder};
use nfs_wire::{ArgOp, NfsStat4, ResOp, Rules};

use crate::compound::{Compound, Facts, Place};
use crate::ops::sequence::{self, Begun};
use crate::reply::{Reply, ReplyHeader};

impl Compound {
    /// Runs the compound. `None`: nothing may be said, and the connection ends.
    pub(crate) async fn run(mut self, args: Compound4Args, facts: Facts, header: ReplyHeader) -> Option<Reply> {
        let mut out = CompoundEncoder::new(header.encoder(), &args.tag);
        let declared = args.declared;
        let mut operations = args.operations.into_iter();
        if args.minorversion != 1 {
            out.fail(NfsStat4::MinorVersMismatch);
            return Some(header.whole(out));
        }
        match operations.next() {
            None => {}
            Some(ArgOp::Sequence(args)) => {
                match sequence::begin(&mut self, &args, declared, &facts, operations.as_slice()).await {
                    Begun::Run(resok) => {
                        out.push(&ResOp::Sequence(Ok(resok)));
                        self.hold_wanted = self.session.as_ref().is_some_and(|session| session.persistent)
                            && operations.as_slice().iter().filter(|operation| is_stored(operation)).count() == 1;
                        self.run_operations(operations, declared, &mut out).await;
                    }
                    Begun::Refused(status) => out.push(&ResOp::Sequence(Err(status))),
                    Begun::Again(body) => return Some(header.with_body(body)),
                    Begun::Uncached(resok) => {
                        out.push(&ResOp::Sequence(Ok(resok)));
                        if let Some(second) = operations.next() {
                            out.push(&second.failure(NfsStat4::RetryUncachedRep));
                        }
                    }
                    Begun::Silence => return None,
                }
            }
            Some(first) => self.run_first(first, declared, &mut out).await,
        }
        self.end(header, out).await
    }

    /// An operation without SEQUENCE before it. RFC 8881 section 2.10.2.
    async fn run_first(&mut self, first: ArgOp, declared: u32, out: &mut CompoundEncoder) {
        let rules = first.rules();
        let outside = rules.contains(Rules::OUTSIDE_SESSION) || rules.contains(Rules::ALONE);
        let refused = match &first {
            ArgOp::Illegal(_) => Some(NfsStat4::OpIllegal),
            ArgOp::Malformed(_) => Some(NfsStat4::Badxdr),
            _ if !outside => Some(NfsStat4::OpNotInSession),
            _ if declared != 1 => Some(NfsStat4::NotOnlyOp),
            _ => None,
        };
        let result = match refused {
            Some(status) => first.failure(status),
            None => crate::ops::dispatch(self, first).await,
        };
        out.push(&result);
    }

    async fn run_operations(
        &mut self,
        operations: std::vec::IntoIter<ArgOp>,
        declared: u32,
        out: &mut CompoundEncoder,
    ) {
        for operation in operations {
            let (number, rules) = (operation.number(), operation.rules());
            let result = match self.check(&operation, declared) {
                Some(status) => operation.failure(status),
                None => crate::ops::dispatch(self, operation).await,
            };
            if self.silent {
                return;
            }
            let failed = result.status() != NfsStat4::Ok;
            out.push(&result);
            if let Some(status) = self.too_big(out.len()) {
                out.replace_last(&ResOp::failure(number, status));
                return;
            }
            if failed {
                // What was not changed has no reply to be stored with.
                if rules.contains(Rules::MODIFIES) {
                    self.hold = None;
                }
                return;
            }
            self.apply(rules);
        }
    }

    /// What the row says happens to filehandle and stateid after success.
    fn apply(&mut self, rules: Rules) {
        if rules.contains(Rules::CLEARS_STATEID) {
            self.current_stateid = None;
        }
        if rules.contains(Rules::CONSUMES_FH) {
            self.current = None;
            self.current_stateid = None;
        }
    }

    /// The rule of the operation's row that stands against it.
    fn check(&self, operation: &ArgOp, declared: u32) -> Option<NfsStat4> {
        let rules = operation.rules();
        let wants = |rule| rules.contains(rule);
        match operation {
            ArgOp::Illegal(_) => Some(NfsStat4::OpIllegal),
            ArgOp::Malformed(_) => Some(NfsStat4::Badxdr),
            ArgOp::Unsupported(_) => Some(NfsStat4::Notsupp),
            _ if wants(Rules::FIRST_ONLY) => Some(NfsStat4::SequencePos),
            _ if wants(Rules::ALONE) && declared != 1 => Some(NfsStat4::NotOnlyOp),
            _ if wants(Rules::FH) && self.current.is_none() => Some(NfsStat4::Nofilehandle),
            _ if wants(Rules::SAVED_FH) && self.saved.is_none() => Some(NfsStat4::Nofilehandle),
            _ if wants(Rules::MODIFIES) && matches!(&self.current, Some(Place::PseudoRoot)) => Some(NfsStat4::Rofs),
            _ => None,
        }
    }

    fn too_big(&self, length: usize) -> Option<NfsStat4> {
        let limits = self.session.as_ref()?.limits;
        let length = length.saturating_sub(ReplyHeader::MARK_BYTES);
        if length > limits.bytes_max {
            return Some(NfsStat4::RepTooBig);
        }
        limits.cached_bytes_max.filter(|max| length > *max).map(|_| NfsStat4::RepTooBigToCache)
    }

    /// The end of a compound: its reply is stored with its change, what it saw becomes durable, the slot is free again.
    async fn end(mut self, header: ReplyHeader, out: CompoundEncoder) -> Option<Reply> {
        let length = out.len().saturating_sub(ReplyHeader::MARK_BYTES);
        let reply = header.whole(out);
        let keep = self.session.as_ref().is_some_and(|session| length <= session.limits.kept_bytes_max);
        let body = (keep || self.hold.is_some()).then(|| reply.body());
        if let (Some((hold, seen)), Some(body), false) = (self.hold.take(), &body, self.silent) {
            hold.finish(body.clone(), &seen.watermark);
        }
        for seen in &self.seen {
            if seen.served.filesystem.durable(&seen.watermark).await.is_err() {
                self.silent = true;
            }
        }
        if let Some(session) = self.session.take() {
            let mut state = self.admitted.server.state.lock();
            if self.silent {
                // A retry on another connection must not be told what may be lost.
                state.finish_lost(&session.token);
            } else {
                state.finish(&session.token, body.filter(|_| keep));
            }
        }
        (!self.silent).then_some(reply)
    }
}

/// Whether a retry of the operation after a restart needs its stored reply. WRITE does the same again.
fn is_stored(operation: &ArgOp) -> bool {
    operation.rules().contains(Rules::MODIFIES) && !matches!(operation, ArgOp::Write(_))
}
