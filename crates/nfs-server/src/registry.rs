//! The file systems that are open and the virtual servers in front of them. A virtual server exists for each (file system,
//! access point, principal, TLS or clear): its owner id, scope and client ids are its own, and the same after every restart,
//! so that no client merges two of them. Architecture section 2.5.

use std::collections::HashMap;
use std::sync::Arc;

use crypto::Prf;
use env::{Env, Instant};
use nfs_state::{FileState, ServerConfig, VirtualServer, VirtualServerId};
use nfs_wire::Opaque;
use nfs_wire::nfs4::Fsid4;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::attributes::Constants;
use crate::exports::{Admission, Exports, FileSystemId, Principal, Target, Unavailable};
use crate::handle::Code;
use crate::holdings::Holdings;
use crate::limits::Limits;
use crate::served::{Place, Served, Use, Uses};

/// What makes a virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct VirtualServerKey {
    pub(crate) target: Target,
    pub(crate) access_point: Option<String>,
    pub(crate) principal: Principal,
    pub(crate) secure: bool,
}

impl VirtualServerKey {
    pub(crate) fn new(admission: &Admission, secure: bool) -> Self {
        Self {
            target: admission.target.clone(),
            access_point: admission.access_point.as_ref().map(|point| point.id.clone()),
            principal: admission.principal.clone(),
            secure,
        }
    }
}

/// A virtual server while its file system is open.
pub(crate) struct Virtual {
    pub(crate) key: VirtualServerKey,
    pub(crate) state: Mutex<VirtualServer>,
    pub(crate) gone: watch::Sender<bool>,
}

/// All that is open.
pub(crate) struct Registry {
    exports: Arc<dyn Exports>,
    identity: Prf,
    env: Env,
    limits: Limits,
    places: Mutex<HashMap<FileSystemId, Arc<Place>>>,
    virtuals: Mutex<HashMap<VirtualServerKey, Arc<Virtual>>>,
}

impl Registry {
    pub(crate) fn new(exports: Arc<dyn Exports>, identity: Prf, env: Env, limits: Limits) -> Self {
        Self { exports, identity, env, limits, places: Mutex::default(), virtuals: Mutex::default() }
    }

    /// A use of the file system, if it is open.
    pub(crate) fn entered(&self, id: &FileSystemId) -> Option<Use> {
        self.places.lock().get(id)?.enter(&self.env)
    }

    /// A use of the file system, which is opened if it is not; and whether this call opened it. To be run to its end: what nobody
    /// here knows to be open is never closed.
    pub(crate) async fn open(&self, id: &FileSystemId) -> Result<(Use, bool), Unavailable> {
        let place = Arc::clone(self.places.lock().entry(id.clone()).or_default());
        let opened = async {
            let _turn = place.turn().await;
            if let Some(open) = place.enter(&self.env) {
                return Ok((open, false));
            }
            let served = self.open_now(id).await?;
            Ok((place.opened(served, &self.env), true))
        };
        let opened = opened.await;
        drop(place);
        if opened.is_err() {
            // Ids that do not exist must not pile up.
            self.tidy_places();
        }
        opened
    }

    async fn open_now(&self, id: &FileSystemId) -> Result<Arc<Served>, Unavailable> {
        let filesystem = self.exports.open(id).await?;
        let settings = filesystem.settings();
        let constants = Constants {
            fsid: Fsid4 { major: self.identity.u64_of(format!("fsid {id}").as_bytes()), minor: 0 },
            lease_seconds: self.limits.lease_seconds,
            file_bytes_max: settings.file_bytes_max,
            links_max: settings.links_max,
            name_bytes_max: u32::try_from(settings.name_bytes_max).unwrap_or(u32::MAX),
            io_bytes_max: self.limits.io_bytes_max,
        };
        let instance = u32::from_be_bytes(self.env.random());
        let holdings = Holdings::new(FileState::new(instance, self.limits.lease(), self.limits.state()));
        Ok(Arc::new(Served {
            id: id.clone(),
            holdings,
            constants,
            code: self.code(id),
            gone: watch::Sender::new(false),
            uses: Mutex::new(Uses::none(self.env.now())),
            filesystem,
        }))
    }

    /// The file system's name in the pseudo-root's handles.
    pub(crate) fn code(&self, id: &FileSystemId) -> Code {
        self.identity.u64_of(format!("code {id}").as_bytes()).to_be_bytes()
    }

    /// The fileid of the file system's directory in the pseudo-root; 1 is the pseudo-root itself.
    pub(crate) fn mounted_on(&self, id: &FileSystemId) -> u64 {
        self.identity.u64_of(format!("mounted on {id}").as_bytes()) | 2
    }

    /// The virtual server for the key, made if it is the first time.
    pub(crate) fn virtual_server(&self, key: VirtualServerKey) -> Arc<Virtual> {
        let mut virtuals = self.virtuals.lock();
        let made = virtuals.entry(key.clone()).or_insert_with(|| {
            let config = self.config(&key);
            Arc::new(Virtual { key, state: Mutex::new(VirtualServer::new(config)), gone: watch::Sender::new(false) })
        });
        Arc::clone(made)
    }

    fn config(&self, key: &VirtualServerKey) -> ServerConfig {
        let id = self.identity.mac16(&identity_of(key));
        let text = |prefix: &str| {
            let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            Opaque::copied(format!("{prefix}{digits}").as_bytes()).unwrap_or_default()
        };
        ServerConfig {
            id: VirtualServerId(id),
            instance: u32::from_be_bytes(self.env.random()),
            major_id: text("coffer-"),
            scope: text("coffer-scope-"),
            persistent: true,
            lease: self.limits.lease(),
            limits: self.limits.state(),
        }
    }

    /// Forgets a file system, with every virtual server that leads to it alone: their connections end. Those of the pseudo-root go
    /// on with their other file systems, and find this one opened again or gone.
    pub(crate) fn drop_file_system(&self, id: &FileSystemId) {
        let served = self.places.lock().get(id).and_then(|place| place.take());
        self.drop_virtual_servers(id);
        if let Some(served) = served {
            served.gone.send_replace(true);
            served.holdings.abandon();
        }
    }

    fn drop_virtual_servers(&self, id: &FileSystemId) {
        self.virtuals.lock().retain(|key, server| {
            let drop = matches!(&key.target, Target::FileSystem(target) if target == id);
            if drop {
                server.gone.send_replace(true);
            }
            !drop
        });
    }

    /// The file systems that nobody has used for long enough.
    pub(crate) fn idle(&self) -> Vec<FileSystemId> {
        let open: Vec<_> = self.places.lock().values().filter_map(|place| place.look()).collect();
        let ids = open.into_iter().map(|look| Arc::clone(look.served()));
        ids.filter(|served| self.is_idle(served)).map(|served| served.id.clone()).collect()
    }

    /// Closes a file system if nobody uses it. Whoever comes meanwhile waits, and opens it again. To be run to its end.
    pub(crate) async fn close_idle(&self, id: &FileSystemId) {
        let Some(place) = self.places.lock().get(id).cloned() else { return };
        let Some(_turn) = place.turn_now() else { return };
        let Some(served) = place.take_if(|served| self.is_idle(served)) else { return };
        served.gone.send_replace(true);
        self.exports.close(id).await;
        // Not before it is closed: a file without a name that a silent client has open is kept for it to reclaim.
        served.holdings.abandon();
        // Whoever comes next finds virtual servers of another instance, and learns by its dead session that it must reclaim.
        self.drop_virtual_servers(id);
        tracing::info!(file_system = %id, seconds = self.limits.idle_close.as_secs(), "closed, since nobody has used it for so long");
    }

    fn is_idle(&self, served: &Served) -> bool {
        let now = self.env.now();
        let long_enough = served.idle_since(&self.env).is_some_and(|since| now.since(since) >= self.limits.idle_close);
        long_enough && !self.is_awaited(served, now)
    }

    /// Whether a client may count on what is in memory: its lease runs. One whose lease has run out has its record, and reclaims
    /// when it comes back. Of the pseudo-root's clients what they hold here cannot be forgotten alone.
    fn is_awaited(&self, served: &Served, now: Instant) -> bool {
        self.virtual_servers().iter().any(|server| match &server.key.target {
            Target::FileSystem(id) => *id == served.id && server.state.lock().has_live_clients(now),
            Target::PseudoRoot => {
                let id = server.state.lock().config().id;
                served.holdings.are_of(id)
            }
        })
    }

    /// Forgets virtual servers that nobody uses: one is made again, the same to its clients, when somebody comes.
    pub(crate) fn tidy(&self) {
        self.virtuals.lock().retain(|_, server| Arc::strong_count(server) > 1 || server.state.lock().has_clients());
        self.tidy_places();
    }

    /// Forgets places that are closed, unless somebody is about to open one.
    fn tidy_places(&self) {
        self.places.lock().retain(|_, place| Arc::strong_count(place) > 1 || place.is_open());
    }

    /// The open file systems that clients of a virtual server can hold state on.
    pub(crate) fn reached(&self, key: &VirtualServerKey) -> Vec<Use> {
        match &key.target {
            Target::FileSystem(id) => self.places.lock().get(id).and_then(|place| place.look()).into_iter().collect(),
            Target::PseudoRoot => self.open_file_systems(),
        }
    }

    /// The open file systems, for a look.
    pub(crate) fn open_file_systems(&self) -> Vec<Use> {
        self.places.lock().values().filter_map(|place| place.look()).collect()
    }

    /// The virtual servers.
    pub(crate) fn virtual_servers(&self) -> Vec<Arc<Virtual>> {
        self.virtuals.lock().values().cloned().collect()
    }
}

/// The key's parts, each with its length, so that no two keys say the same.
fn identity_of(key: &VirtualServerKey) -> Vec<u8> {
    let target = match &key.target {
        Target::FileSystem(id) => id.as_str(),
        Target::PseudoRoot => "",
    };
    let principal = match &key.principal {
        Principal::Anonymous => "",
        Principal::Arn(arn) => arn,
    };
    let access_point = key.access_point.as_deref().unwrap_or_default();
    let mut bytes = b"virtual server".to_vec();
    for part in [target, access_point, principal] {
        bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes.push(u8::from(key.secure));
    bytes
}
