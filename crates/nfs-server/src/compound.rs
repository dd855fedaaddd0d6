//! One compound as its operations see it: filehandles, stateids, the session, and what was seen of each file system. RFC 8881
//! section 16.2.3.1.

use std::sync::Arc;

use filesystem::{AccessMask, Node, ReplyHold, ReplyKey};
use nfs_state::{Client, ConnectionId, IoAccess, ReplyLimits, SlotToken};
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::Stateid4;
use nfs_wire::rpc::Credential;

use crate::admission::Admitted;
use crate::gate::Gate;
use crate::shared::Shared;
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
    /// The connection's own part: what it is allowed, and whether it has a session.
    pub(crate) gate: Arc<Gate>,
    /// The bytes of the request, in which the data of a WRITE lies.
    pub(crate) record_bytes: usize,
    pub(crate) session: Option<InSession>,
    pub(crate) current: Option<Place>,
    pub(crate) saved: Option<Place>,
    pub(crate) current_stateid: Option<Stateid4>,
    saved_stateid: Option<Stateid4>,
    pub(crate) seen: Vec<Arc<Seen>>,
    /// Whether the one changing operation is still to come, and where its reply goes once it has come.
    pub(crate) hold_wanted: bool,
    pub(crate) hold: Option<(ReplyHold, Arc<Seen>)>,
    /// Under which leases data was read: it may only go out while they are valid.
    pub(crate) leases: Vec<(Arc<Seen>, u64)>,
    /// Where in the reply that data begins.
    pub(crate) data: Option<Data>,
    /// Set by a failure after which nothing may be answered.
    pub(crate) silent: bool,
}

/// The first result with data of a file.
pub(crate) struct Data {
    /// The operation's number.
    pub(crate) number: u32,
    /// Where its result begins.
    pub(crate) place: nfs_wire::nfs4::ResultPlace,
    /// Whether an operation behind it changed something.
    pub(crate) changed_since: bool,
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
        (connection, gate): (ConnectionId, Arc<Gate>),
        credential: Credential,
    ) -> Self {
        Self {
            shared,
            admitted,
            connection,
            credential,
            gate,
            record_bytes: 0,
            session: None,
            current: None,
            saved: None,
            current_stateid: None,
            saved_stateid: None,
            seen: Vec::new(),
            hold_wanted: false,
            hold: None,
            leases: Vec::new(),
            data: None,
            silent: false,
        }
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

impl Drop for Compound {
    /// A compound that did not come to its end, since it panicked or the server stops, leaves a slot in which nobody may see a
    /// success, and not one that is busy for ever.
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.admitted.server.state.lock().finish_lost(&session.token);
        }
    }
}
