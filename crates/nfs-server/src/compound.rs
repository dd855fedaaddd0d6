//! The compound loop: the table's rules, one operation after the other, stop at the first error; and around it the slot, the
//! stored reply and the wait for durability. RFC 8881 sections 2.10, 16.2 and DESIGN section 2.7.

use std::sync::Arc;

use filesystem::{AccessMask, Node, ReplyHold, ReplyKey};
use nfs_state::{Client, ConnectionId, IoAccess, ReplyLimits, SlotToken};
use nfs_wire::nfs4::{Compound4Args, CompoundEncoder, Stateid4};
use nfs_wire::rpc::Credential;
use nfs_wire::{ArgOp, NfsStat4, ResOp, Rules};

use crate::admission::Admitted;
use crate::ops::sequence::{self, Begun};
use crate::reply::{Reply, ReplyHeader};
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
    pub(crate) token: SlotToken,
    pub(crate) limits: ReplyLimits,
    pub(crate) persistent: bool,
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
    hold: Option<(ReplyHold, Arc<Seen>)>,
    /// Set by a failure after which nothing may be answered.
    silent: bool,
}

/// The record of a request, as SEQUENCE judges it.
pub(crate) struct Facts {
    pub(crate) bytes: usize,
    pub(crate) fingerprint: u64,
    /// Whether every operation may run again.
    pub(crate) repeatable: bool,
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
            Some(ArgOp::Sequence(args)) => match sequence::begin(&mut self, &args, declared, &facts).await {
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
            },
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
            self.admitted.server.state.lock().finish(&session.token, body.filter(|_| keep));
        }
        (!self.silent).then_some(reply)
    }

    /// The code for an error; remembers when nothing may be said at all.
    pub(crate) fn status_of(&mut self, error: &NfsError) -> NfsStat4 {
        error.status().unwrap_or_else(|| {
            self.silent = true;
            NfsStat4::Serverfault
        })
    }

    /// The client whose session this is.
    pub(crate) fn client(&self) -> Result<Arc<Client>, NfsError> {
        Ok(Arc::clone(&self.session.as_ref().ok_or(NfsStat4::OpNotInSession)?.client))
    }

    /// The current filehandle.
    pub(crate) fn place(&self) -> Result<&Place, NfsError> {
        Ok(self.current.as_ref().ok_or(NfsStat4::Nofilehandle)?)
    }

    /// The current filehandle's object; the pseudo-root, which holds only directories, answers as given.
    pub(crate) fn object_or(&self, pseudo_root: NfsStat4) -> Result<Object, NfsError> {
        match self.place()? {
            Place::Object(object) => Ok(object.clone()),
            Place::PseudoRoot => Err(pseudo_root.into()),
        }
    }

    /// The current filehandle's object, for operations that the pseudo-root knows nothing of.
    pub(crate) fn object(&self) -> Result<Object, NfsError> {
        self.object_or(NfsStat4::Isdir)
    }

    /// The saved filehandle's object.
    pub(crate) fn saved_object(&self) -> Result<Object, NfsError> {
        match self.saved.as_ref().ok_or(NfsStat4::Nofilehandle)? {
            Place::Object(object) => Ok(object.clone()),
            Place::PseudoRoot => Err(NfsStat4::Rofs.into()),
        }
    }

    pub(crate) fn set_current(&mut self, place: Place) {
        self.current = Some(place);
    }

    /// SAVEFH: filehandle and stateid together. RFC 8881 section 16.2.3.1.2.
    pub(crate) fn save(&mut self) {
        self.saved.clone_from(&self.current);
        self.saved_stateid = self.current_stateid;
    }

    /// RESTOREFH.
    pub(crate) fn restore(&mut self) -> Result<(), NfsError> {
        self.current = Some(self.saved.clone().ok_or(NfsStat4::Nofilehandle)?);
        self.current_stateid = self.saved_stateid;
        Ok(())
    }

    /// The stateid meant: the current one where the argument says so. RFC 8881 section 16.2.3.1.2.
    pub(crate) fn stateid(&self, given: Stateid4) -> Result<Stateid4, NfsError> {
        if given == Stateid4::CURRENT {
            return Ok(self.current_stateid.ok_or(NfsStat4::BadStateid)?);
        }
        Ok(given)
    }

    pub(crate) fn set_stateid(&mut self, stateid: Stateid4) {
        self.current_stateid = Some(stateid);
    }

    /// The mark of what this compound sees of a file system, and whom it acts for there.
    pub(crate) fn seen(&mut self, view: &View) -> Arc<Seen> {
        if let Some(seen) = self.seen.iter().find(|seen| Arc::ptr_eq(&seen.served, &view.served)) {
            return Arc::clone(seen);
        }
        let seen = Arc::new(Seen::new(view, &self.credential));
        self.seen.push(Arc::clone(&seen));
        seen
    }

    /// A node of a view, as this compound holds it.
    pub(crate) fn object_at(&mut self, view: &Arc<View>, node: Node) -> Object {
        Object { view: Arc::clone(view), seen: self.seen(view), node }
    }

    /// The root of a view.
    pub(crate) async fn root_of(&mut self, view: &Arc<View>) -> Result<Object, NfsError> {
        let seen = self.seen(view);
        let node = view.root(&seen.watermark).await?;
        Ok(Object { view: Arc::clone(view), seen, node })
    }

    /// Whether an open or a special stateid lets data be read or written.
    pub(crate) async fn check_state(
        &self,
        object: &Object,
        stateid: &Stateid4,
        access: IoAccess,
    ) -> Result<(), NfsError> {
        let client = self.client()?;
        let now = self.shared.env.now();
        let served = &object.view.served;
        let file = object.node.fileid();
        let (allowed, effects) =
            served.holdings.with(|state, effects| state.check_io(now, &client, file, stateid, access, effects));
        self.admitted.settle(served, effects).await?;
        Ok(allowed?)
    }

    /// The same, and the mode bits where no open has asked them yet.
    pub(crate) async fn check_io(
        &self,
        object: &Object,
        stateid: &Stateid4,
        access: IoAccess,
        mask: AccessMask,
    ) -> Result<(), NfsError> {
        self.check_state(object, stateid, access).await?;
        if *stateid == Stateid4::ANONYMOUS || *stateid == Stateid4::READ_BYPASS {
            object.view.served.filesystem.check_io(&object.cx(), &object.node, mask).await?;
        }
        Ok(())
    }

    /// Before the compound's one changing call: from here on its reply is kept with the change.
    pub(crate) fn hold_reply(&mut self, object: &Object) {
        if !self.hold_wanted || self.hold.is_some() {
            return;
        }
        if let Some(session) = &self.session {
            let token = &session.token;
            let key = ReplyKey { session: token.session, slot: token.slot, sequence: token.sequence };
            self.hold = Some((object.seen.served.filesystem.hold_reply(key), Arc::clone(&object.seen)));
        }
    }

    /// The place for the reply, as changing calls take it.
    pub(crate) fn hold(&self) -> Option<&ReplyHold> {
        self.hold.as_ref().map(|(hold, _)| hold)
    }
}

/// Whether a retry of the operation after a restart needs its stored reply. WRITE does the same again.
fn is_stored(operation: &ArgOp) -> bool {
    operation.rules().contains(Rules::MODIFIES) && !matches!(operation, ArgOp::Write(_))
}
