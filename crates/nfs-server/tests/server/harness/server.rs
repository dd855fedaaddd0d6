//! The server's side: file systems in memory, keys that a test can withhold, exports that a test can shape.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crypto::{Key, Prf};
use env::Env;
use filesystem::lease::{KeySource, KeyTrouble, Which};
use filesystem::{Budget, FileSystem, Parts, Settings};
use nfs_server::exports::{
    AccessPointView, AccessRequest, Admission, Authorize, BoxFuture, Door, Exports, FileSystemId, NotAuthorized, Peer,
    Permissions, Principal, Refused, Target, Unavailable,
};
use nfs_server::{Limits, Server, ServerParts};
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use storage::faulty::Faults;
use storage::memory::Memory;
use storage::{Batch, Keyspace, Scan};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The file system that most tests use.
pub const FS: &str = "fs-0123456789abcdef0";
/// The mount target at the test server's address.
pub const MOUNT_TARGET: &str = "fsmt-0123456789abcdef0";
/// The host name of the test server's certificate.
pub const NAME: &str = "fs-0123456789abcdef0.efs.us-east-1.coffer.internal";

/// Keys as a test gives and withholds them.
#[derive(Default)]
pub struct TestKeys {
    /// What is wrong, and with which key; none: with both.
    trouble: Mutex<Option<(Option<Which>, KeyTrouble)>>,
}

impl TestKeys {
    /// From now on every unwrap fails so; none: it succeeds again.
    pub fn withhold(&self, trouble: Option<KeyTrouble>) {
        *self.trouble.lock() = trouble.map(|trouble| (None, trouble));
    }

    /// The same for one of the two keys.
    pub fn withhold_one(&self, which: Which, trouble: KeyTrouble) {
        *self.trouble.lock() = Some((Some(which), trouble));
    }
}

impl KeySource for TestKeys {
    fn unwrap(&self, which: Which) -> storage::BoxFuture<'_, Result<Key, KeyTrouble>> {
        let answer = match self.trouble.lock().clone() {
            Some((one, trouble)) if one.is_none_or(|one| one == which) => Err(trouble),
            _ => Ok(key(if which == Which::Data { 1 } else { 2 })),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn key(byte: u8) -> Key {
    Key::take(&mut [byte; 32]).unwrap()
}

/// What survives a restart.
#[derive(Clone, Default)]
pub struct Disk {
    memories: Arc<Mutex<BTreeMap<String, Memory>>>,
    pub keys: Arc<TestKeys>,
}

impl Disk {
    /// Turns a bit of the shortest record whose name begins so, as a bad disk does. The file system that is open there fails.
    pub async fn damage_shortest_record(&self, id: &str, prefix: &[u8]) {
        let (shard, _) = self.memories.lock()[id].open();
        let page = shard.scan(Scan::prefix(Keyspace::Records, prefix)).await.unwrap();
        let (name, value) = page.items.iter().min_by_key(|(_, value)| value.len()).unwrap();
        let mut damaged = value.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        let mut batch = Batch::new(1);
        batch.put(Keyspace::Records, name.clone(), damaged);
        shard.commit(batch).await.unwrap();
    }
}

/// Exports over file systems in memory.
pub struct TestExports {
    env: Env,
    disk: Disk,
    budget: Arc<Budget>,
    pub keys: Arc<TestKeys>,
    pub settings: Settings,
    pub open: tokio::sync::Mutex<HashMap<String, FileSystem>>,
    /// What goes wrong with the store of each open file system: nothing, unless a test says so.
    faults: Mutex<HashMap<String, Faults>>,
    /// Where connections lead.
    pub admission: Mutex<Result<Admission, Refused>>,
    pub permissions: Mutex<Result<Permissions, NotAuthorized>>,
    /// What each question to the policies said of the answer before.
    pub asked: Mutex<Vec<Option<Permissions>>>,
    /// Peers that asked for admission.
    pub peers: Mutex<Vec<Peer>>,
    /// Where a closing waits as long as a test holds this: before it begins, and after it is done.
    pub closing: [tokio::sync::Mutex<()>; 2],
    /// Closings that came so far: to the first place, and to the second.
    pub closings: [AtomicUsize; 2],
}

impl TestExports {
    /// Opens or makes a file system.
    pub async fn filesystem(&self, id: &str) -> Result<FileSystem, Unavailable> {
        let mut open = self.open.lock().await;
        if let Some(filesystem) = open.get(id)
            && !*filesystem.failed().borrow()
        {
            return Ok(filesystem.clone());
        }
        let (memory, fresh) = {
            let mut memories = self.disk.memories.lock();
            let fresh = !memories.contains_key(id);
            (memories.entry(id.to_owned()).or_default().clone(), fresh)
        };
        let faults = Faults::new(self.env.clone());
        let (shard, segments) = faults.wrap(memory.open());
        self.faults.lock().insert(id.to_owned(), faults);
        let parts = Parts {
            id: id.to_owned(),
            shard,
            segments,
            env: self.env.clone(),
            budget: Arc::clone(&self.budget),
            keys: Arc::clone(&self.keys) as Arc<dyn KeySource>,
            handle_key: Prf::new(key(3)),
        };
        let made = if fresh {
            FileSystem::create(parts, self.settings.clone()).await
        } else {
            FileSystem::open(parts, self.settings.clone()).await
        };
        let made = made.map_err(|error| Unavailable::Failed(error.to_string()))?;
        open.insert(id.to_owned(), made.clone());
        Ok(made)
    }
}

impl TestExports {
    /// What all its file systems have in memory: inodes, entries, unstable bytes.
    pub fn in_memory(&self) -> (usize, usize, usize) {
        (self.budget.inodes(), self.budget.entries(), self.budget.dirty_bytes())
    }

    /// Steers the store of an open file system.
    pub fn faults(&self, id: &str) -> Faults {
        self.faults.lock()[id].clone()
    }
}

impl Exports for TestExports {
    fn admit<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Admission, Refused>> {
        self.peers.lock().push(peer.clone());
        let mut admission = self.admission.lock().clone();
        // A certificate may ask for an access point, as the real exports have it.
        if let (Ok(admission), Some(certificate)) = (&mut admission, &peer.certificate)
            && let Some(id) = &certificate.access_point
        {
            let point = AccessPointView { id: id.clone(), path: format!("/{id}"), posix_user: None, creation: None };
            admission.access_point = Some(point);
        }
        Box::pin(std::future::ready(admission))
    }

    fn open<'a>(&'a self, id: &'a FileSystemId) -> BoxFuture<'a, Result<FileSystem, Unavailable>> {
        Box::pin(self.filesystem(id.as_str()))
    }

    fn close<'a>(&'a self, id: &'a FileSystemId) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.closings[0].fetch_add(1, Ordering::SeqCst);
            drop(self.closing[0].lock().await);
            if let Some(open) = self.open.lock().await.remove(id.as_str()) {
                open.close().await.unwrap();
            }
            self.closings[1].fetch_add(1, Ordering::SeqCst);
            drop(self.closing[1].lock().await);
        })
    }

    fn list<'a>(&'a self, _peer: &'a Peer) -> BoxFuture<'a, Vec<FileSystemId>> {
        let ids = self.disk.memories.lock().keys().map(|id| FileSystemId::new(id)).collect();
        Box::pin(std::future::ready(ids))
    }
}

impl Authorize for TestExports {
    fn authorize<'a>(&'a self, request: AccessRequest<'a>) -> BoxFuture<'a, Result<Permissions, NotAuthorized>> {
        self.asked.lock().push(request.before);
        Box::pin(std::future::ready(self.permissions.lock().clone()))
    }
}

/// A server, with all a test may want to turn.
pub struct Rig {
    pub server: Server,
    pub exports: Arc<TestExports>,
    pub address: SocketAddr,
    /// The one that the server's address is the door of.
    pub door: Arc<Door>,
    pub disk: Disk,
    pub root: CertificateDer<'static>,
    pub limits: Limits,
    tasks: Vec<JoinHandle<()>>,
}

/// Short leases and short patience.
pub fn quick() -> Limits {
    Limits { lease_seconds: 2, ..Limits::default() }
}

impl Rig {
    /// A server on a port of its own, over an empty disk.
    pub async fn start() -> Self {
        Self::start_on(Disk::default(), quick(), "127.0.0.1:0").await
    }

    /// A server over what a server before it left.
    pub async fn start_on(disk: Disk, limits: Limits, listen: &str) -> Self {
        let env = Env::real();
        let direct = Admission {
            target: Target::FileSystem(FileSystemId::new(FS)),
            access_point: None,
            principal: Principal::Anonymous,
        };
        let exports = Arc::new(TestExports {
            env: env.clone(),
            disk: disk.clone(),
            budget: Arc::new(Budget::default()),
            keys: Arc::clone(&disk.keys),
            settings: Settings::default(),
            open: tokio::sync::Mutex::default(),
            faults: Mutex::default(),
            admission: Mutex::new(Ok(direct)),
            permissions: Mutex::new(Ok(Permissions { write: true, root: true })),
            asked: Mutex::default(),
            peers: Mutex::default(),
            closing: <[_; 2]>::default(),
            closings: <[_; 2]>::default(),
        });
        exports.filesystem(FS).await.unwrap();
        let (root, certificates) = certificate();
        let server = Server::new(ServerParts {
            exports: Arc::clone(&exports) as Arc<dyn Exports>,
            authorize: Arc::clone(&exports) as Arc<dyn Authorize>,
            certificates,
            identity: Prf::new(key(4)),
            env,
            limits: limits.clone(),
        })
        .unwrap();
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (serving, sweeping, door) = (server.clone(), server.clone(), Door::of_mount_target(MOUNT_TARGET));
        let through = Arc::clone(&door);
        let tasks = vec![
            tokio::spawn(async move { serving.serve(listener, through).await.unwrap() }),
            tokio::spawn(async move { sweeping.sweep().await }),
        ];
        Self { server, exports, address, door, disk, root, limits, tasks }
    }

    /// Ends the server without a word, as a crash would, and starts another over the same disk.
    pub async fn crash(self) -> Self {
        for task in &self.tasks {
            task.abort();
        }
        let (disk, limits) = (self.disk.clone(), self.limits.clone());
        for id in self.exports.open.lock().await.keys() {
            self.server.drop_file_system(&FileSystemId::new(id));
        }
        self.exports.open.lock().await.clear();
        drop(self);
        Self::start_on(disk, limits, "127.0.0.1:0").await
    }
}

fn certificate() -> (CertificateDer<'static>, Arc<dyn ResolvesServerCert>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let signing = provider.key_provider.load_private_key(private).unwrap();
    let certified = CertifiedKey::new(vec![certificate.der().clone()], signing);
    (certificate.der().clone(), Arc::new(SingleCertAndKey::from(certified)))
}
