//! The compound loop: the table's rules, one operation after the other, stop at the first error; and around it the slot, the
//! stored reply and the wait for durability. RFC 8881 sections 2.10, 16.2 and Architecture section 2.7.

use nfs_wire::nfs4::{Compound4Args, CompoundEncoder, ResultPlace, SessionId4};
use nfs_wire::{ArgOp, NfsStat4, ResOp, Rules};

use crate::compound::{self, Compound, Data, Facts};
use crate::ops::sequence::{self, Begun};
use crate::reply::{Reply, ReplyHeader};

impl Compound {
    /// Runs the compound. `None`: nothing may be said, and the connection ends.
    pub(crate) async fn run(mut self, args: Compound4Args, facts: Facts, header: ReplyHeader) -> Option<Reply> {
        self.record_bytes = facts.bytes;
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
                            && stores_its_reply(operations.as_slice());
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
        mut operations: std::vec::IntoIter<ArgOp>,
        declared: u32,
        out: &mut CompoundEncoder,
    ) {
        while let Some(operation) = operations.next() {
            let (number, rules) = (operation.number(), operation.rules());
            let refused = self.check(&operation, declared, operations.as_slice());
            // What changes something must not run and then be told to have failed.
            let no_room =
                || operation.changed_bytes_max().and_then(|bytes| self.too_big(out.len().saturating_add(bytes)));
            let result = match refused.or_else(no_room) {
                Some(status) => operation.failure(status),
                None => crate::ops::dispatch(self, operation).await,
            };
            if self.silent {
                return;
            }
            let failed = result.status() != NfsStat4::Ok;
            let place = out.place();
            out.push(&result);
            self.note_data(number, place, failed, rules);
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

    /// Remembers where data begins that a seal may still withhold, and whether something was changed behind it.
    fn note_data(&mut self, number: u32, place: ResultPlace, failed: bool, rules: Rules) {
        match &mut self.data {
            None if !self.leases.is_empty() => self.data = Some(Data { number, place, changed_since: false }),
            Some(data) if rules.contains(Rules::MODIFIES) && !failed => data.changed_since = true,
            _ => {}
        }
    }

    /// The rule of the operation's row that stands against it.
    fn check(&self, operation: &ArgOp, declared: u32, rest: &[ArgOp]) -> Option<NfsStat4> {
        let rules = operation.rules();
        let wants = |rule| rules.contains(rule);
        match operation {
            ArgOp::Illegal(_) => Some(NfsStat4::OpIllegal),
            ArgOp::Malformed(_) => Some(NfsStat4::Badxdr),
            ArgOp::Unsupported(_) => Some(NfsStat4::Notsupp),
            _ if wants(Rules::FIRST_ONLY) => Some(NfsStat4::SequencePos),
            _ if wants(Rules::ALONE) && declared != 1 => Some(NfsStat4::NotOnlyOp),
            // RFC 8881 §18.37.3: what destroys the session that it runs in comes last.
            ArgOp::DestroySession(args) if self.is_own_session(&args.sessionid) && !rest.is_empty() => {
                Some(NfsStat4::NotOnlyOp)
            }
            _ if wants(Rules::FH) && self.current.is_none() => Some(NfsStat4::Nofilehandle),
            _ if wants(Rules::SAVED_FH) && self.saved.is_none() => Some(NfsStat4::Nofilehandle),
            _ if wants(Rules::MODIFIES) && matches!(&self.current, Some(compound::Place::PseudoRoot)) => {
                Some(NfsStat4::Rofs)
            }
            _ => None,
        }
    }

    fn is_own_session(&self, id: &SessionId4) -> bool {
        self.session.as_ref().is_some_and(|session| session.token.session == *id)
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
    async fn end(mut self, header: ReplyHeader, mut out: CompoundEncoder) -> Option<Reply> {
        if let (Some((hold, seen)), false) = (self.hold.take(), self.silent) {
            hold.finish(header.whole(out.clone()).body(), &seen.watermark);
        }
        for seen in &self.seen {
            if seen.served.filesystem.durable(&seen.watermark).await.is_err() {
                self.silent = true;
            }
        }
        self.withhold_data(&mut out);
        let length = out.len().saturating_sub(ReplyHeader::MARK_BYTES);
        let reply = header.whole(out);
        if let Some(session) = self.session.take() {
            let body = (length <= session.limits.kept_bytes_max).then(|| reply.body());
            let mut state = self.admitted.server.state.lock();
            if self.silent {
                // A retry on another connection must not be told what may be lost.
                state.finish_lost(&session.token);
            } else {
                state.finish(&session.token, body);
            }
        }
        (!self.silent).then_some(reply)
    }

    /// A key that was withdrawn while the compound ran or waited withholds what was read under it. Architecture section 5.
    fn withhold_data(&mut self, out: &mut CompoundEncoder) {
        let Some(data) = &self.data else { return };
        if self.leases.iter().all(|(seen, lease)| seen.served.filesystem.lease_valid(*lease)) {
            return;
        }
        if data.changed_since {
            // What was changed cannot be taken back, and its success is not told without the data before it.
            self.silent = true;
        } else {
            out.end_at(data.place, &ResOp::failure(data.number, NfsStat4::Delay));
        }
    }
}

/// Whether a retry of the operation after a restart needs its stored reply. WRITE does the same again.
fn is_stored(operation: &ArgOp) -> bool {
    operation.rules().contains(Rules::MODIFIES) && !matches!(operation, ArgOp::Write(_))
}

/// Whether the compound's reply is stored with its change: one operation changes something, and what follows it is over soon.
/// Until its end the change stands at the head of the commit queue, and everybody else's behind it.
fn stores_its_reply(operations: &[ArgOp]) -> bool {
    let mut behind = operations.iter().skip_while(|operation| !is_stored(operation)).skip(1);
    let changes = operations.iter().any(is_stored);
    changes
        && behind.all(|operation| {
            matches!(
                operation,
                ArgOp::Getfh(())
                    | ArgOp::Getattr(_)
                    | ArgOp::Access(_)
                    | ArgOp::Putfh(_)
                    | ArgOp::Savefh(())
                    | ArgOp::Restorefh(())
                    | ArgOp::Lookup(_)
            )
        })
}

#[cfg(test)]
mod tests {
    use super::stores_its_reply;
    use nfs_wire::ArgOp;
    use nfs_wire::nfs4::{Component4, Getattr4Args, Read4Args, Remove4Args, StableHow4, Stateid4, Write4Args};
    use nfs_wire::{Bitmap4, Payload};

    /// Architecture section 3, "Durable replies": one change, and behind it only what Linux sends and what is quick.
    #[test]
    fn only_quick_compounds_hold_the_commit_queue() {
        let remove = || ArgOp::Remove(Remove4Args { target: Component4::copied(b"name").unwrap_or_default() });
        let getattr = || ArgOp::Getattr(Getattr4Args { attr_request: Bitmap4::EMPTY });
        let read = || ArgOp::Read(Read4Args { stateid: Stateid4::ANONYMOUS, offset: 0, count: 1 });
        let write = || {
            let data = Payload("x".into());
            ArgOp::Write(Write4Args { stateid: Stateid4::ANONYMOUS, offset: 0, stable: StableHow4::FileSync, data })
        };
        assert!(stores_its_reply(&[ArgOp::Putrootfh(()), remove()]));
        assert!(stores_its_reply(&[ArgOp::Putrootfh(()), remove(), ArgOp::Getfh(()), getattr()]));
        assert!(stores_its_reply(&[write(), read(), remove()]));
        assert!(!stores_its_reply(&[ArgOp::Putrootfh(()), getattr()]));
        assert!(!stores_its_reply(&[ArgOp::Putrootfh(()), write()]));
        for slow in [remove(), read(), write()] {
            assert!(!stores_its_reply(&[ArgOp::Putrootfh(()), remove(), slow]));
        }
    }
}
