//! The file systems that are open and the virtual servers in front of them. A virtual server exists for each (file system,
//! access point, principal, TLS or clear): its owner id, scope and client ids are its own, and the same after every restart,
//! so that no client merges two of them. Architecture section 2.5.

use std::collections::HashMap;
use std::sync::Arc;

use crypto::Prf;
use env::Env;
use filesystem::FileSystem;
use nfs_state::{FileState, ServerConfig, VirtualServer, VirtualServerId};
use nfs_wire::Opaque;
use nfs_wire::nfs4::Fsid4;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};

use crate::attributes::Constants;
use crate::exports::{Admission, Exports, FileSystemId, Principal, Target, Unavailable};
use crate::handle::Code;
use crate::holdings::Holdings;
use crate::limits::Limits;

/// A file system while it is open.
pub(crate) struct Served {
    pub(crate) id: FileSystemId,
    pub(crate) filesystem: FileSystem,
    /// What clients hold there.
    pub(crate) holdings: Holdings,
    pub(crate) constants: Constants,
    /// Its name in the pseudo-root's handles.
    pub(crate) code: Code,
    /// Turns true when the file system failed or was dropped: connections to it end.
    pub(crate) gone: watch::Sender<bool>,
}

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
    served: Mutex<HashMap<FileSystemId, Arc<OnceCell<Arc<Served>>>>>,
    virtuals: Mutex<HashMap<VirtualServerKey, Arc<Virtual>>>,
}

impl Registry {
    pub(crate) fn new(exports: Arc<dyn Exports>, identity: Prf, env: Env, limits: Limits) -> Self {
        Self { exports, identity, env, limits, served: Mutex::default(), virtuals: Mutex::default() }
    }

    /// The file system, opened if it is not; and whether this call opened it.
    pub(crate) async fn open(&self, id: &FileSystemId) -> Result<(Arc<Served>, bool), Unavailable> {
        let cell = Arc::clone(self.served.lock().entry(id.clone()).or_default());
        let mut fresh = false;
        let open = async {
            fresh = true;
            self.open_now(id).await
        };
        let opened = cell.get_or_try_init(|| open).await.cloned();
        if opened.is_err() {
            // Ids that do not exist must not pile up.
            self.served.lock().retain(|known, cell| known != id || cell.initialized());
        }
        Ok((opened?, fresh))
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
        let served = self.served.lock().remove(id);
        let mut virtuals = self.virtuals.lock();
        virtuals.retain(|key, server| {
            let drop = matches!(&key.target, Target::FileSystem(target) if target == id);
            if drop {
                server.gone.send_replace(true);
            }
            !drop
        });
        if let Some(served) = served.as_ref().and_then(|cell| cell.get()) {
            served.gone.send_replace(true);
            served.holdings.abandon();
        }
    }

    /// Forgets virtual servers that nobody uses: one is made again, the same to its clients, when somebody comes.
    pub(crate) fn tidy(&self) {
        self.virtuals.lock().retain(|_, server| Arc::strong_count(server) > 1 || server.state.lock().has_clients());
    }

    /// The open file systems that clients of a virtual server can hold state on.
    pub(crate) fn reached(&self, key: &VirtualServerKey) -> Vec<Arc<Served>> {
        match &key.target {
            Target::FileSystem(id) => {
                self.served.lock().get(id).and_then(|cell| cell.get().cloned()).into_iter().collect()
            }
            Target::PseudoRoot => self.open_file_systems(),
        }
    }

    /// The open file systems.
    pub(crate) fn open_file_systems(&self) -> Vec<Arc<Served>> {
        self.served.lock().values().filter_map(|cell| cell.get().cloned()).collect()
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
