//! What a caller sees of a file system: the access point's root and identity, squash, read-only. One value that the
//! operations work through. Architecture section 2.6.

use std::sync::Arc;

use filesystem::{
    Context, Credentials, FsError, Kind, LeaseState, Name, NewObject, Node, ReplyHold, SetAttributes, Watermark,
};
use nfs_wire::rpc::Credential;
use parking_lot::Mutex;

use crate::attributes::Subject;
use crate::exports::{AccessPointView, Creation, Permissions};
use crate::served::{Served, Use};
use crate::status::NfsError;

/// The user and group that nobody in particular is, and that uid and gid 0 become without root access.
pub(crate) const NOBODY: u32 = 65_534;

/// One caller's sight of one file system.
pub(crate) struct View {
    /// The file system.
    pub(crate) served: Arc<Served>,
    /// Keeps it open.
    in_use: Use,
    access_point: Option<AccessPointView>,
    permissions: Permissions,
    /// The fileid of its directory in the pseudo-root, where it is reached through that.
    pub(crate) mounted_on: Option<u64>,
    /// The root once it is known: a sealed file system cannot look it up again.
    root: Mutex<Option<Node>>,
}

impl View {
    pub(crate) fn new(in_use: Use, access_point: Option<AccessPointView>, permissions: Permissions) -> Self {
        Self {
            served: Arc::clone(in_use.served()),
            in_use,
            access_point,
            permissions,
            mounted_on: None,
            root: Mutex::default(),
        }
    }

    /// The same view, hung under an entry of the pseudo-root.
    pub(crate) fn mounted_on(mut self, fileid: u64) -> Self {
        self.mounted_on = Some(fileid);
        self
    }

    /// A look at the file system.
    pub(crate) fn look(&self) -> Use {
        self.in_use.look()
    }

    /// What the policies allow.
    pub(crate) fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// This view where another was before: the same one if nothing has changed, else with the root that was known, if it is the
    /// same root.
    pub(crate) fn after(self, earlier: Arc<Self>) -> Arc<Self> {
        let same_root = Arc::ptr_eq(&self.served, &earlier.served) && self.access_point == earlier.access_point;
        if !same_root {
            return Arc::new(self);
        }
        if self.permissions == earlier.permissions && self.mounted_on == earlier.mounted_on {
            return earlier;
        }
        let known = earlier.root.lock().clone();
        *self.root.lock() = known;
        Arc::new(self)
    }

    /// Whether nothing may be changed.
    pub(crate) fn read_only(&self) -> bool {
        !self.permissions.write
    }

    /// Whom the operations act for.
    pub(crate) fn credentials(&self, credential: &Credential) -> Credentials {
        let user = self.access_point.as_ref().and_then(|point| point.posix_user.as_ref());
        let mut credentials = match (user, credential) {
            (Some(user), _) => Credentials { uid: user.uid, gid: user.gid, groups: user.groups.clone() },
            (None, Credential::Sys(sys)) => Credentials { uid: sys.uid, gid: sys.gid, groups: sys.gids.to_vec() },
            (None, Credential::None) => Credentials { uid: NOBODY, gid: NOBODY, groups: Vec::new() },
        };
        if !self.permissions.root {
            let squash = |id: &mut u32| {
                if *id == 0 {
                    *id = NOBODY;
                }
            };
            squash(&mut credentials.uid);
            squash(&mut credentials.gid);
            credentials.groups.iter_mut().for_each(squash);
        }
        credentials
    }

    /// The root directory, made if the access point says how and it is missing.
    pub(crate) async fn root(&self, watermark: &Watermark) -> Result<Node, NfsError> {
        let node = match self.walk(watermark, true).await {
            Ok(node) => node,
            Err(NfsError::Fs(FsError::Sealed(cause))) => {
                // A mount's root stays known through a seal, so that the mount survives it.
                let known = self.root.lock().clone();
                return known.ok_or(FsError::Sealed(cause).into());
            }
            Err(error) => return Err(error),
        };
        *self.root.lock() = Some(node.clone());
        Ok(node)
    }

    /// Whether the node is the root, above which this caller sees nothing. An access point's root may have been removed and made
    /// again since it was last walked to; where there is none now, nobody can say what is above it.
    pub(crate) async fn is_root(&self, node: &Node, watermark: &Watermark) -> Result<bool, NfsError> {
        let known = self.root.lock().as_ref().map(Node::fileid);
        if known == Some(node.fileid()) {
            return Ok(true);
        }
        if known.is_some() && self.access_point.is_none() {
            return Ok(false);
        }
        let root = self.walk(watermark, false).await?;
        let fileid = root.fileid();
        *self.root.lock() = Some(root);
        Ok(node.fileid() == fileid)
    }

    async fn walk(&self, watermark: &Watermark, make: bool) -> Result<Node, NfsError> {
        let filesystem = &self.served.filesystem;
        let mut node = filesystem.root().await?;
        let Some(point) = &self.access_point else { return Ok(node) };
        // The administrator chose this path: it is walked and made with no caller's rights.
        let credentials = Credentials::root();
        let cx = Context { credentials: &credentials, watermark, reply: None, read_only: false };
        for component in point.path.split('/').filter(|component| !component.is_empty()) {
            let name = Name::new(component.as_bytes())?;
            node = match filesystem.lookup(&cx, &node, &name).await {
                Ok(child) => child,
                Err(FsError::NotFound) if make => match point.creation {
                    Some(creation) => self.make(&cx, &node, &name, creation).await?,
                    None => return Err(NfsError::Refused),
                },
                Err(FsError::NotFound | FsError::NotDirectory) => return Err(NfsError::Refused),
                Err(error) => return Err(error.into()),
            };
        }
        if node.kind() == Kind::Directory { Ok(node) } else { Err(NfsError::Refused) }
    }

    async fn make(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        name: &Name<'_>,
        creation: Creation,
    ) -> Result<Node, NfsError> {
        let set = SetAttributes {
            mode: Some(creation.mode),
            uid: Some(creation.uid),
            gid: Some(creation.gid),
            ..SetAttributes::default()
        };
        let filesystem = &self.served.filesystem;
        match filesystem.create_object(cx, directory, name, NewObject::Directory, &set).await {
            Ok(created) => Ok(created.node),
            // Another mount was quicker.
            Err(FsError::Exists) => Ok(filesystem.lookup(cx, directory, name).await?),
            Err(error) => Err(error.into()),
        }
    }
}

/// An object as a compound holds it: seen through a view, with the mark of what the compound saw there.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) view: Arc<View>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) node: Node,
}

/// What one compound saw of one file system, and as whom.
pub(crate) struct Seen {
    pub(crate) served: Arc<Served>,
    pub(crate) watermark: Watermark,
    pub(crate) credentials: Credentials,
}

impl Object {
    /// The arguments of file system calls that read.
    pub(crate) fn cx(&self) -> Context<'_> {
        self.cx_with(None)
    }

    /// The arguments of the compound's one changing call.
    pub(crate) fn cx_with<'a>(&'a self, reply: Option<&'a ReplyHold>) -> Context<'a> {
        Context {
            credentials: &self.seen.credentials,
            watermark: &self.seen.watermark,
            reply,
            read_only: self.view.read_only(),
        }
    }

    /// The same view of another node.
    pub(crate) fn at(&self, node: Node) -> Self {
        Self { view: Arc::clone(&self.view), seen: Arc::clone(&self.seen), node }
    }
}

impl Seen {
    /// Nothing seen yet.
    pub(crate) fn new(view: &View, credential: &Credential) -> Self {
        Self {
            served: Arc::clone(&view.served),
            watermark: Watermark::new(),
            credentials: view.credentials(credential),
        }
    }
}

impl Object {
    /// Whether two objects are of one file system.
    pub(crate) fn same_file_system(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.view.served, &other.view.served)
    }

    /// Operations that touch only state, not the object, fail with a seal like all others.
    pub(crate) fn check_sealed(&self) -> Result<(), NfsError> {
        match &*self.view.served.filesystem.lease_watch().borrow() {
            LeaseState::Open => Ok(()),
            LeaseState::Sealed { cause, .. } => Err(FsError::Sealed(*cause).into()),
        }
    }

    /// Data and locks are of regular files only. RFC 8881 section 18.22.3.
    pub(crate) fn check_regular(&self) -> Result<(), NfsError> {
        match self.node.kind() {
            Kind::Regular => Ok(()),
            Kind::Directory => Err(FsError::IsDirectory.into()),
            Kind::Symlink => Err(FsError::IsSymlink.into()),
            Kind::Fifo | Kind::Socket | Kind::Block | Kind::Character => Err(FsError::WrongType.into()),
        }
    }

    /// Calls `f` with the object's attributes.
    pub(crate) async fn subject<T>(&self, handle: &[u8], f: impl FnOnce(&Subject<'_>) -> T) -> Result<T, NfsError> {
        let filesystem = &self.view.served.filesystem;
        let attributes = filesystem.attributes(&self.cx(), &self.node).await?;
        let mounted_on = match self.view.mounted_on {
            Some(mounted_on) if self.view.is_root(&self.node, &self.seen.watermark).await? => mounted_on,
            _ => attributes.fileid,
        };
        let statistics = || filesystem.statistics();
        Ok(f(&Subject {
            attributes: &attributes,
            handle,
            constants: &self.view.served.constants,
            statistics: &statistics,
            mounted_on,
        }))
    }
}
