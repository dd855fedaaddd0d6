//! What the server asks of the house around it: which file system a connection means, who the caller is and what
//! the caller may do there. Architecture section 2.3 and 2.4; the binary joins these traits to control, identity and policy.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use filesystem::FileSystem;
use tokio::sync::watch;

use crate::certificate::ClientCertificate;

/// A boxed future, so that the traits can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The id of a file system, `fs-…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileSystemId(Arc<str>);

impl FileSystemId {
    /// An id as the control plane spells it.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileSystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a listener stands for, fixed when it is bound: a connection never means more than the door it came through, whatever
/// becomes of the mount target meanwhile.
#[derive(Debug)]
pub struct Door {
    mount_target: Option<String>,
    shut: watch::Sender<bool>,
}

impl Door {
    /// The door of a mount target, by its id.
    pub fn of_mount_target(id: &str) -> Arc<Self> {
        Arc::new(Self { mount_target: Some(id.to_owned()), shut: watch::Sender::new(false) })
    }

    /// The door of the pseudo-root, at which a connection may mean any file system.
    pub fn of_pseudo_root() -> Arc<Self> {
        Arc::new(Self { mount_target: None, shut: watch::Sender::new(false) })
    }

    /// The mount target; none at the door of the pseudo-root.
    pub fn mount_target(&self) -> Option<&str> {
        self.mount_target.as_deref()
    }

    /// For good: its listener accepts no more, and every connection that came through it ends, whatever runs on it and also
    /// if it has not said anything yet.
    pub fn shut(&self) {
        self.shut.send_replace(true);
    }

    /// Ends when the door is shut.
    pub(crate) fn is_shut(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut shut = self.shut.subscribe();
        async move {
            let _ = shut.wait_for(|shut| *shut).await;
        }
    }
}

/// What is known of a connection's other end once its handshake, if any, is over.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address the connection came from.
    pub remote: SocketAddr,
    /// The address it came to.
    pub local: SocketAddr,
    /// The door it came through.
    pub door: Arc<Door>,
    /// Whether TLS protects it.
    pub secure: bool,
    /// The host name of the TLS handshake, where one was sent that is a name.
    pub server_name: Option<String>,
    /// The client certificate, its signature and the possession of its key already verified.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Whether what the client certificate says could be read. If not the peer is refused without being asked for: a claim that
    /// cannot be read is not the same as no claim.
    pub credible: bool,
}

/// The identity behind a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// Nobody signed.
    Anonymous,
    /// The signed identity's ARN.
    Arn(String),
}

/// The POSIX identity that an access point imposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PosixUser {
    /// Owner id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Secondary groups.
    pub groups: Vec<u32>,
}

/// How an access point's root directory is made when it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creation {
    /// Owner id of the directory.
    pub uid: u32,
    /// Group id of the directory.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// An access point as the data path needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPointView {
    /// `fsap-…`.
    pub id: String,
    /// The root directory's path from the file system's root, `/` or `/a/b`.
    pub path: String,
    /// The identity imposed on every operation.
    pub posix_user: Option<PosixUser>,
    /// What to do when the root directory is missing: make it, or (none) fail.
    pub creation: Option<Creation>,
}

/// What a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// One file system.
    FileSystem(FileSystemId),
    /// The directory of all file systems that the caller may mount.
    PseudoRoot,
}

/// The answer to "which file system, and who?".
#[derive(Debug, Clone)]
pub struct Admission {
    /// Where the connection leads.
    pub target: Target,
    /// The access point it goes through.
    pub access_point: Option<AccessPointView>,
    /// Who asks.
    pub principal: Principal,
}

/// Why a connection gets `NFS4ERR_ACCESS` for everything; the text is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Why a file system cannot be served now; the text is for the log, the caller sees `NFS4ERR_ACCESS`, `NFS4ERR_DELAY` or `NFS4ERR_IO`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    /// No such file system (any more).
    #[error("no such file system")]
    Absent,
    /// It exists but cannot be opened now; the client should try again.
    #[error("{0}")]
    Later(String),
    /// It exists and is damaged, or its storage fails.
    #[error("{0}")]
    Failed(String),
}

/// The rights on one file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// `elasticfilesystem:ClientWrite`; without it the file system is read-only.
    pub write: bool,
    /// `elasticfilesystem:ClientRootAccess`; without it uid and gid 0 become 65534.
    pub root: bool,
}

/// One question to the policies. That it is asked at all means that `ClientMount` is wanted.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// The connection.
    pub peer: &'a Peer,
    /// Who asks.
    pub principal: &'a Principal,
    /// For which file system.
    pub file_system: &'a FileSystemId,
    /// Through which access point.
    pub access_point: Option<&'a str>,
    /// What the same connection was allowed when it was asked before. The same answer again is no news.
    pub before: Option<Permissions>,
}

/// Why a caller has no rights on a file system.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotAuthorized {
    /// The policies deny it: `NFS4ERR_ACCESS`.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It cannot be said now, or not be recorded; the text is for the log, the caller sees `NFS4ERR_DELAY`.
    #[error("{0}")]
    Later(String),
}

/// The file systems of this server.
pub trait Exports: Send + Sync + 'static {
    /// Which file system the connection means and who the caller is. At a mount target's door that is the mount target's file
    /// system; at the pseudo-root's the certificate extension, the host name, else the pseudo-root. A mount target that is no
    /// more, a malformed or unknown access point, a wrong signature or a file system that differs from the mount target's is
    /// a refusal.
    fn admit<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Admission, Refused>>;

    /// Opens a file system, or gives the one already open. Called again after the file system failed.
    fn open<'a>(&'a self, id: &'a FileSystemId) -> BoxFuture<'a, Result<FileSystem, Unavailable>>;

    /// Closes a file system that nobody uses any more, cleanly and to its end; what goes wrong is told in the log. An
    /// [`open`](Self::open) that comes meanwhile or afterwards opens it anew.
    fn close<'a>(&'a self, id: &'a FileSystemId) -> BoxFuture<'a, ()>;

    /// The file systems that the pseudo-root may show; those the policies deny are left out afterwards.
    fn list<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Vec<FileSystemId>>;
}

/// The policies of the data path.
pub trait Authorize: Send + Sync + 'static {
    /// The rights of a caller on a file system, or the refusal to mount it. Writes the audit record, unless the answer is what the
    /// connection got before. Asked at a connection's first request, and again while it is used: after
    /// [`Limits::authorize_every`](crate::Limits::authorize_every), and at once after
    /// [`Server::policies_changed`](crate::Server::policies_changed).
    fn authorize<'a>(&'a self, request: AccessRequest<'a>) -> BoxFuture<'a, Result<Permissions, NotAuthorized>>;
}
