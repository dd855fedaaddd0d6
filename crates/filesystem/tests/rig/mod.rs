//! A file system over memory that can be crashed and opened again, for the tests of this crate.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses a part of it; a test may panic")]

pub mod forger;

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use bytes::Bytes;
use crypto::{Key, Prf};
use env::Env;
use filesystem::{
    Attributes, Budget, Context, Credentials, FileSystem, KeySource, KeyTrouble, Name, NewObject, Node, Parts,
    RemoveWhat, Result, SetAttributes, Settings, Stability, Watermark, Which,
};
use storage::{BoxFuture, memory::Memory};

/// Gives fixed keys, or refuses them.
pub struct Keys {
    pub data: AtomicU8,
    pub metadata: AtomicU8,
}

pub const GIVEN: u8 = 0;
pub const REFUSED: u8 = 1;
pub const UNREACHABLE: u8 = 2;
pub const SILENT: u8 = 3;

impl KeySource for Keys {
    fn unwrap(&self, which: Which) -> BoxFuture<'_, Result<Key, KeyTrouble>> {
        let (mode, byte) = match which {
            Which::Data => (&self.data, 1),
            Which::Metadata => (&self.metadata, 2),
        };
        Box::pin(async move {
            match mode.load(Ordering::SeqCst) {
                GIVEN => Ok(Key::take(&mut [byte; 32]).unwrap()),
                REFUSED => Err(KeyTrouble::Refused("the key is disabled".into())),
                UNREACHABLE => Err(KeyTrouble::Unreachable("no route".into())),
                _ => std::future::pending().await,
            }
        })
    }
}

pub struct Rig {
    pub memory: Memory,
    pub keys: Arc<Keys>,
    pub env: Env,
    pub settings: Settings,
    pub budget: Arc<Budget>,
    pub fs: FileSystem,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        Self::with_env(settings, Env::real(), Budget::default()).await
    }

    pub async fn with_env(settings: Settings, env: Env, budget: Budget) -> Self {
        let memory = Memory::new();
        let keys = Arc::new(Keys { data: AtomicU8::new(GIVEN), metadata: AtomicU8::new(GIVEN) });
        let budget = Arc::new(budget);
        let parts = parts(&memory, &keys, &env, &budget);
        let fs = FileSystem::create(parts, settings.clone()).await.unwrap();
        Self { memory, keys, env, settings, budget, fs }
    }

    pub fn parts(&self) -> Parts {
        parts(&self.memory, &self.keys, &self.env, &self.budget)
    }

    /// The same for another file system's memory, within the same budget.
    pub fn parts_over(&self, memory: &Memory) -> Parts {
        parts(memory, &self.keys, &self.env, &self.budget)
    }

    /// Forgets everything in memory, as a kill does, and opens again.
    pub async fn crash(&mut self) {
        self.fs = FileSystem::open(self.parts(), self.settings.clone()).await.unwrap();
    }

    /// Ends the file system as a kill does, checks what is left, and opens it again.
    pub async fn check(&mut self) {
        let report = self.report().await;
        assert!(report.is_clean(), "{:#?}", report.problems);
        self.crash().await;
    }

    /// Opens again with faults in the way of the store. `slow`: nothing is answered from memory.
    pub async fn open_faulty(&mut self, slow: bool) -> storage::faulty::Faults {
        let faults = storage::faulty::Faults::new(self.env.clone());
        faults.never_now(slow);
        let mut parts = self.parts();
        (parts.shard, parts.segments) = faults.wrap((parts.shard, parts.segments));
        self.fs = FileSystem::open(parts, self.settings.clone()).await.unwrap();
        // The first counters are reserved; later reservations are made ahead.
        let root = self.root().await;
        self.set(&root, SetAttributes { mode: Some(0o755), ..SetAttributes::default() }).await.unwrap();
        faults
    }

    pub async fn report(&self) -> filesystem::fsck::Report {
        filesystem::fsck::check(self.parts(), self.settings.clone(), true).await.unwrap()
    }

    pub async fn root(&self) -> Node {
        self.fs.root().await.unwrap()
    }

    /// Does one operation as uid 0 and waits until it is durable.
    pub async fn mkdir(&self, directory: &Node, name: &str) -> Result<Node> {
        self.make(directory, name, NewObject::Directory).await
    }

    pub async fn make(&self, directory: &Node, name: &str, what: NewObject) -> Result<Node> {
        let cx = Caller::root();
        let set = SetAttributes::default();
        let made = self.fs.create_object(&cx.cx(), directory, &name_of(name), what, &set).await?;
        self.fs.durable(&cx.watermark).await?;
        Ok(made.node)
    }

    pub async fn file(&self, directory: &Node, name: &str) -> Result<Node> {
        self.make(directory, name, NewObject::Regular).await
    }

    pub async fn write(&self, node: &Node, offset: u64, data: &[u8], stability: Stability) -> Result<()> {
        let cx = Caller::root();
        let data = Bytes::copy_from_slice(data);
        self.fs.write(&cx.cx(), node, offset, data, stability).await?;
        self.fs.durable(&cx.watermark).await
    }

    pub async fn commit(&self, node: &Node) -> Result<()> {
        let cx = Caller::root();
        self.fs.commit(&cx.cx(), node, 0, 0).await?;
        self.fs.durable(&cx.watermark).await
    }

    pub async fn read(&self, node: &Node, offset: u64, count: u32) -> Result<Vec<u8>> {
        let cx = Caller::root();
        let read = self.fs.read(&cx.cx(), node, offset, count).await?;
        Ok(read.data.to_vec())
    }

    pub async fn lookup(&self, directory: &Node, name: &str) -> Result<Node> {
        self.fs.lookup(&Caller::root().cx(), directory, &name_of(name)).await
    }

    pub async fn remove(&self, directory: &Node, name: &str) -> Result<()> {
        let cx = Caller::root();
        self.fs.remove(&cx.cx(), directory, &name_of(name), RemoveWhat::Any).await?;
        self.fs.durable(&cx.watermark).await
    }

    pub async fn rename(&self, from: &Node, old: &str, to: &Node, new: &str) -> Result<()> {
        let cx = Caller::root();
        self.fs.rename(&cx.cx(), from, &name_of(old), to, &name_of(new)).await?;
        self.fs.durable(&cx.watermark).await
    }

    pub async fn link(&self, node: &Node, directory: &Node, name: &str) -> Result<()> {
        let cx = Caller::root();
        self.fs.link(&cx.cx(), node, directory, &name_of(name)).await?;
        self.fs.durable(&cx.watermark).await
    }

    pub async fn set(&self, node: &Node, set: SetAttributes) -> Result<()> {
        let cx = Caller::root();
        self.fs.set_attributes(&cx.cx(), node, &set, false).await?;
        self.fs.durable(&cx.watermark).await
    }

    pub async fn truncate(&self, node: &Node, size: u64) -> Result<()> {
        self.set(node, SetAttributes { size: Some(size), ..SetAttributes::default() }).await
    }

    pub async fn attributes(&self, node: &Node) -> Result<Attributes> {
        self.fs.attributes(&Caller::root().cx(), node).await
    }

    /// All names, in pages of `page`.
    pub async fn names(&self, directory: &Node, page: usize) -> Result<Vec<String>> {
        let cx = Caller::root();
        let mut names = Vec::new();
        let mut cookie = 0;
        loop {
            let listed = self.fs.read_directory(&cx.cx(), directory, cookie, page, 1 << 20, true).await?;
            for entry in &listed.entries {
                assert!(entry.cookie > cookie && entry.cookie >= 3 && entry.cookie < 1 << 63);
                cookie = entry.cookie;
                names.push(String::from_utf8(entry.name.to_vec()).unwrap());
            }
            if listed.eof {
                names.sort();
                return Ok(names);
            }
        }
    }
}

pub fn parts(memory: &Memory, keys: &Arc<Keys>, env: &Env, budget: &Arc<Budget>) -> Parts {
    let (shard, segments) = memory.open();
    Parts {
        id: "fs-0123456789abcdef0".into(),
        shard,
        segments,
        env: env.clone(),
        budget: budget.clone(),
        keys: keys.clone(),
        handle_key: Prf::new(Key::take(&mut [3; 32]).unwrap()),
    }
}

pub fn name_of(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

/// Who calls, and what the call has seen.
pub struct Caller {
    pub credentials: Credentials,
    pub watermark: Watermark,
    pub read_only: bool,
}

impl Caller {
    pub fn root() -> Self {
        Self::user(0, 0)
    }

    pub fn user(uid: u32, gid: u32) -> Self {
        let credentials = Credentials { uid, gid, groups: Vec::new() };
        Self { credentials, watermark: Watermark::new(), read_only: false }
    }

    pub fn cx(&self) -> Context<'_> {
        Context { credentials: &self.credentials, watermark: &self.watermark, reply: None, read_only: self.read_only }
    }
}
