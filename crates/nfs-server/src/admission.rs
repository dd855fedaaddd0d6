//! A connection's admission: which file system it means, who the caller is, and with that its virtual server and its views.
//! Asked at the connection's first request and, while it is used, again from time to time. Architecture section 2.3 to 2.6.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use filesystem::{FsError, Node, ReplyKey};
use nfs_state::{Dropped, Effects};
use nfs_wire::nfs4::NfsFh4;
use nfs_wire::rpc::Credential;
use parking_lot::Mutex;

use crate::exports::{
    AccessPointView, AccessRequest, Admission, FileSystemId, NotAuthorized, Peer, Permissions, Principal, Target,
    Unavailable,
};
use crate::handle;
use crate::registry::{Virtual, VirtualServerKey};
use crate::served::{Served, Use};
use crate::shared::Shared;
use crate::status::NfsError;
use crate::view::View;

/// A connection that was let in.
pub(crate) struct Admitted {
    shared: Arc<Shared>,
    pub(crate) peer: Peer,
    pub(crate) server: Arc<Virtual>,
    target: Target,
    access_point: Option<AccessPointView>,
    principal: Principal,
    views: Mutex<HashMap<FileSystemId, Arc<View>>>,
    /// Views from before the connection was asked for again, until they are asked for again themselves.
    earlier: Mutex<HashMap<FileSystemId, Arc<View>>>,
}

impl Admitted {
    /// Asks for admission, for the first time or again. Who the connection is and where it leads is settled once, for a
    /// certificate may run out and an access point be deleted while their connections go on (EFS API, DeleteAccessPoint); what it
    /// may do is asked again. Views keep the roots they know.
    pub(crate) async fn admit(shared: &Arc<Shared>, peer: Peer, before: Option<&Self>) -> Result<Arc<Self>, NfsError> {
        let (admission, server) = match before {
            Some(before) => (before.admission(), Arc::clone(&before.server)),
            None => {
                let admission = shared.exports.admit(&peer).await.map_err(|refused| {
                    tracing::warn!(remote = %peer.remote, local = %peer.local, reason = %refused, "connection refused");
                    NfsError::Refused
                })?;
                let server = shared.registry.virtual_server(VirtualServerKey::new(&admission, peer.secure));
                (admission, server)
            }
        };
        let mut admitted = Self {
            server,
            shared: Arc::clone(shared),
            peer,
            target: admission.target,
            access_point: admission.access_point,
            principal: admission.principal,
            views: Mutex::default(),
            earlier: Mutex::new(before.map(Self::known_views).unwrap_or_default()),
        };
        if let Some(id) = admitted.direct().cloned() {
            admitted.view(&id).await?;
            if before.is_none() {
                // An idle file system that was being closed until now took its virtual servers along. From here on it is in use.
                let key = VirtualServerKey::new(&admitted.admission(), admitted.peer.secure);
                admitted.server = shared.registry.virtual_server(key);
            }
        }
        Ok(Arc::new(admitted))
    }

    fn admission(&self) -> Admission {
        Admission {
            target: self.target.clone(),
            access_point: self.access_point.clone(),
            principal: self.principal.clone(),
        }
    }

    /// The views of now and those that were not asked for again yet.
    fn known_views(&self) -> HashMap<FileSystemId, Arc<View>> {
        let mut known = self.earlier.lock().clone();
        known.extend(self.views.lock().iter().map(|(id, view)| (id.clone(), Arc::clone(view))));
        known
    }

    /// The file system that the connection leads to, unless that is the pseudo-root.
    pub(crate) fn direct(&self) -> Option<&FileSystemId> {
        match &self.target {
            Target::FileSystem(id) => Some(id),
            Target::PseudoRoot => None,
        }
    }

    /// The caller's view of a file system.
    pub(crate) async fn view(&self, id: &FileSystemId) -> Result<Arc<View>, NfsError> {
        if let Some(view) = self.views.lock().get(id)
            && !*view.served.gone.borrow()
        {
            return Ok(Arc::clone(view));
        }
        let earlier = self.known_views().remove(id);
        let before = earlier.as_ref().map(|view| view.permissions());
        let view = View::authorized(&self.shared, self.request(id, before), self.access_point.as_ref()).await?;
        let view = match self.direct() {
            Some(_) => view,
            None => view.mounted_on(self.shared.registry.mounted_on(id)),
        };
        let view = match earlier {
            Some(earlier) => view.after(earlier),
            None => Arc::new(view),
        };
        self.earlier.lock().remove(id);
        self.views.lock().insert(id.clone(), Arc::clone(&view));
        Ok(view)
    }

    /// The question to the policies.
    fn request<'a>(&'a self, id: &'a FileSystemId, before: Option<Permissions>) -> AccessRequest<'a> {
        let access_point = self.access_point.as_ref().map(|point| point.id.as_str());
        AccessRequest { peer: &self.peer, principal: &self.principal, file_system: id, access_point, before }
    }

    /// The file systems of the pseudo-root, sorted: those that the caller may mount.
    pub(crate) async fn listed(&self) -> Vec<Arc<View>> {
        let mut ids = self.shared.exports.list(&self.peer).await;
        ids.sort();
        ids.truncate(self.shared.limits.pseudo_entries_max);
        let mut views = Vec::with_capacity(ids.len());
        for id in ids {
            if let Ok(view) = self.view(&id).await {
                views.push(view);
            }
        }
        views
    }

    /// The file system of a handle of the pseudo-root's connections.
    pub(crate) async fn view_of_code(&self, code: handle::Code) -> Result<Arc<View>, NfsError> {
        let known = self.views.lock().values().find(|view| view.served.code == code).cloned();
        if let Some(view) = known
            && !*view.served.gone.borrow()
        {
            return Ok(view);
        }
        let ids = self.shared.exports.list(&self.peer).await;
        match ids.iter().find(|id| self.shared.registry.code(id) == code) {
            Some(id) => self.view(id).await,
            None => Err(nfs_wire::NfsStat4::Stale.into()),
        }
    }

    /// The handle of a node as this connection's client sees it.
    pub(crate) fn wire_handle(&self, view: &View, node: &Node) -> Result<NfsFh4, NfsError> {
        let bytes = node.handle();
        Ok(match self.target {
            Target::FileSystem(_) => NfsFh4::copied(bytes.bytes()).map_err(|_| nfs_wire::NfsStat4::Serverfault)?,
            Target::PseudoRoot => handle::with_code(view.served.code, bytes.bytes())?,
        })
    }

    /// The file systems that clients of this virtual server can hold state on.
    pub(crate) fn reached(&self) -> Vec<Use> {
        match self.direct() {
            Some(id) => self.views.lock().get(id).map(|view| view.look()).into_iter().collect(),
            None => self.shared.registry.open_file_systems(),
        }
    }

    /// Opens the file system that a handle of the pseudo-root's connections names: after a restart a retry's stored reply
    /// lies there, and nobody may have asked for it yet.
    pub(crate) async fn open_named(&self, wire: &NfsFh4) {
        if let (Target::PseudoRoot, Ok(handle::Handle::Of(code, _))) = (&self.target, handle::decode(wire)) {
            // If it cannot be opened there is no reply to be had, and the answer says so.
            let _ = self.view_of_code(code).await;
        }
    }

    /// The reply that is stored for the request, by a server before this one or by a compound that got no answer. A file system
    /// that failed says nothing: what it has in store may not be what a new opening finds.
    pub(crate) async fn stored_reply(&self, key: &ReplyKey) -> Result<Option<Bytes>, NfsError> {
        for served in self.reached() {
            if *served.filesystem.failed().borrow() {
                return Err(FsError::Failed.into());
            }
            if let Some(reply) = served.filesystem.stored_reply(key).await? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Carries out what the virtual server says of clients and sessions that are no more.
    pub(crate) async fn settle_dropped(&self, dropped: Dropped) -> Result<(), NfsError> {
        for served in self.reached() {
            match self.shared.forget(&served, &dropped).await {
                Ok(()) => {}
                // Of several file systems one that fails must not stand in the way of the others.
                Err(error) if self.direct().is_none() => {
                    tracing::warn!(file_system = %served.id, %error, "clients that are gone leave records behind");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Carries out the effects of a change of state on a file system.
    pub(crate) async fn settle(&self, served: &Served, effects: Effects) -> Result<(), NfsError> {
        self.shared.settle(served, effects).await
    }

    /// The same for what goes on while the file system is sealed.
    pub(crate) async fn settle_sealed(&self, served: &Served, effects: Effects) -> Result<(), NfsError> {
        self.shared.settle_sealed(served, effects).await
    }
}

impl View {
    /// Asks the policies, and opens the file system.
    async fn authorized(
        shared: &Arc<Shared>,
        request: AccessRequest<'_>,
        access_point: Option<&AccessPointView>,
    ) -> Result<Self, NfsError> {
        let (id, remote) = (request.file_system, request.peer.remote);
        let permissions = match shared.authorize.authorize(request).await {
            Ok(permissions) => permissions,
            Err(NotAuthorized::Refused(refused)) => {
                tracing::warn!(%remote, file_system = %id, reason = %refused, "mount refused");
                return Err(NfsError::Refused);
            }
            Err(later @ NotAuthorized::Later(_)) => {
                tracing::error!(%remote, file_system = %id, reason = %later, "mount put off");
                return Err(NfsError::Unavailable);
            }
        };
        let served = match shared.open(id).await {
            Ok(served) => served,
            Err(Unavailable::Absent) => return Err(NfsError::Refused),
            Err(unavailable @ Unavailable::Later(_)) => {
                tracing::warn!(file_system = %id, reason = %unavailable, "file system unavailable");
                return Err(NfsError::Unavailable);
            }
            // Whoever tried to open it has said why, once.
            Err(Unavailable::Failed(_)) => return Err(NfsError::Damaged),
        };
        Ok(Self::new(served, access_point.cloned(), permissions))
    }
}

/// The caller of a request as client records remember it.
pub(crate) fn principal(credential: &Credential) -> nfs_state::Principal {
    match credential {
        Credential::None => nfs_state::Principal::Nobody,
        Credential::Sys(sys) => nfs_state::Principal::Unix(sys.uid),
    }
}
