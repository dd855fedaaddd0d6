//! A key management service over memory, that a test can cut at any step and open again.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test uses a part of it; a test may panic"
)]

pub(crate) mod custody;
pub(crate) mod import;
pub(crate) mod users;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_wire::{ApiError, CallContext, Caller, Timestamp};
use bytes::Bytes;
use env::{Env, Simulation};
use kms::root::{
    CHECK_BYTES, EpochSecret, FileProvider, Openers, Recipient, RootError, RootProvider, RootSecrets, Secret,
};
use kms::{EncryptionContext, KeyRing, KeyRingError, Kms, KmsError, model, ops};
use storage::memory::Memory;
use storage::{
    Batch, BoxFuture, CommitError, Keyspace, Limits, Now, Page, Scan, SealedRecords, Seq, Shard, Snapshot, Space,
    StorageError,
};

pub(crate) const ACCOUNT: &str = "000000000001";
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const SERVICE: &str = "elasticfilesystem.us-east-1.amazonaws.com";

/// One installation: disk, key files, clock.
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) keys: tempfile::TempDir,
    pub(crate) env: Env,
    pub(crate) simulation: Simulation,
    pub(crate) cut: Cut,
    /// What opens the root key, unasked and asked.
    pub(crate) openers: Openers,
    pub(crate) secret: Option<Secret>,
}

/// Fails every step from number `at` on, as a crash does. A step may fail before or after it has taken effect.
#[derive(Clone, Default)]
pub(crate) struct Cut {
    steps: Arc<AtomicUsize>,
    at: Arc<AtomicUsize>,
    after: Arc<AtomicUsize>,
}

impl Cut {
    /// Arms the cut: step `at`, counted from one; `after` lets the step take effect.
    pub(crate) fn arm(&self, at: usize, after: bool) {
        self.steps.store(0, Ordering::SeqCst);
        self.at.store(at, Ordering::SeqCst);
        self.after.store(usize::from(after), Ordering::SeqCst);
    }

    pub(crate) fn disarm(&self) {
        self.at.store(0, Ordering::SeqCst);
    }

    /// Whether this step acts, and whether it reports success.
    fn step(&self) -> (bool, bool) {
        let at = self.at.load(Ordering::SeqCst);
        if at == 0 {
            return (true, true);
        }
        let step = self.steps.fetch_add(1, Ordering::SeqCst) + 1;
        let acts = step < at || (step == at && self.after.load(Ordering::SeqCst) == 1);
        (acts, step < at)
    }
}

struct CutProvider(FileProvider, Cut);

fn crashed() -> RootError {
    RootError::Malformed { file: "crash".to_owned(), what: "crash" }
}

impl CutProvider {
    fn at_step(&self, act: impl FnOnce(&FileProvider) -> Result<(), RootError>) -> Result<(), RootError> {
        let (acts, succeeds) = self.1.step();
        if acts {
            act(&self.0)?;
        }
        if succeeds { Ok(()) } else { Err(crashed()) }
    }
}

impl RootProvider for CutProvider {
    fn load(&self) -> Result<RootSecrets, RootError> {
        self.0.load()
    }
    fn stage(&self, next: &EpochSecret) -> Result<(), RootError> {
        self.at_step(|files| files.stage(next))
    }
    fn promote(&self) -> Result<(), RootError> {
        self.at_step(FileProvider::promote)
    }
    fn discard_staged(&self) -> Result<(), RootError> {
        self.0.discard_staged()
    }
    fn stage_root(&self, next: &Arc<crypto::Key>, recipients: &[Recipient], env: &Env) -> Result<(), RootError> {
        self.at_step(|files| files.stage_root(next, recipients, env))
    }
    fn settle_root(&self, wanted: &[u8; CHECK_BYTES]) -> Result<(), RootError> {
        self.at_step(|files| files.settle_root(wanted))
    }
    fn root_name(&self) -> String {
        self.0.root_name()
    }
    fn epoch_name(&self) -> String {
        self.0.epoch_name()
    }
}

struct CutShard(Arc<dyn Shard>, Cut);

impl Snapshot for CutShard {
    fn get_now(&self, keyspace: Keyspace, key: &[u8]) -> Result<Now<Option<Bytes>>, StorageError> {
        self.0.get_now(keyspace, key)
    }
    fn get<'a>(&'a self, keyspace: Keyspace, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>> {
        self.0.get(keyspace, key)
    }
    fn multi_get<'a>(
        &'a self,
        keyspace: Keyspace,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StorageError>> {
        self.0.multi_get(keyspace, keys)
    }
    fn scan_now(&self, scan: &Scan) -> Result<Now<Page>, StorageError> {
        self.0.scan_now(scan)
    }
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, StorageError>> {
        self.0.scan(scan)
    }
}

impl Shard for CutShard {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.0.snapshot()
    }
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Seq, CommitError>> {
        let (acts, succeeds) = self.1.step();
        let token = batch.token;
        let done = acts.then(|| self.0.commit(batch));
        Box::pin(async move {
            let outcome = match done {
                Some(done) => done.await,
                None => Err(CommitError::Fenced),
            };
            if succeeds { outcome } else { outcome.and(Err(CommitError::Unknown(token))) }
        })
    }
    fn durable(&self) -> Seq {
        self.0.durable()
    }
    fn fenced(&self) -> tokio::sync::watch::Receiver<bool> {
        self.0.fenced()
    }
    fn limits(&self) -> Limits {
        self.0.limits()
    }
    fn committed(&self, token: u128) -> BoxFuture<'_, Result<bool, StorageError>> {
        self.0.committed(token)
    }
    fn space(&self) -> Space {
        self.0.space()
    }
    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.0.close()
    }
}

impl World {
    /// A fresh installation, as `coffer init` leaves it.
    pub(crate) async fn new(seed: u64) -> Self {
        Self::of(seed, &[Recipient::File], Openers::default(), None).await
    }

    /// The same with a root key for these recipients.
    pub(crate) async fn of(seed: u64, recipients: &[Recipient], openers: Openers, secret: Option<Secret>) -> Self {
        let (env, simulation) = Env::simulated(seed);
        let keys = tempfile::tempdir().unwrap();
        let world = Self { memory: Memory::new(), keys, env, simulation, cut: Cut::default(), openers, secret };
        world.closed_files().create_for(recipients, 1, &world.env).unwrap();
        let provider: Arc<dyn RootProvider> = Arc::new(world.files());
        KeyRing::create(&world.memory.open().0, &provider, &world.env).await.unwrap();
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.keys.path()
    }

    /// The key files as a server that starts finds them: nobody has given a passphrase yet.
    pub(crate) fn closed_files(&self) -> FileProvider {
        let files = FileProvider::new(self.keys.path().join("root.key"), self.keys.path().join("epoch.secret"));
        files.with_openers(self.openers.clone())
    }

    /// The same after whoever knows the passphrase gave it.
    pub(crate) fn files(&self) -> FileProvider {
        let files = self.closed_files();
        if let Some(secret) = &self.secret {
            files.unseal(secret).unwrap();
        }
        files
    }

    /// Opens the key ring of a disk with this installation's key files.
    pub(crate) async fn open_ring(&self, memory: &Memory) -> Result<(KeyRing, Arc<dyn Shard>), KeyRingError> {
        let shard: Arc<dyn Shard> = Arc::new(CutShard(memory.open().0, self.cut.clone()));
        let provider = Arc::new(CutProvider(self.files(), self.cut.clone()));
        let ring = KeyRing::open(shard.clone(), provider, self.env.clone()).await?;
        Ok((ring, shard))
    }

    /// Starts the service, as after a crash.
    pub(crate) async fn try_open(&self) -> Result<Kms, KmsError> {
        let (ring, shard) = self.open_ring(&self.memory).await?;
        let records = SealedRecords::open(shard, &ring.records_key(), self.env.clone()).await?;
        Kms::open(Arc::new(records), ring, self.env.clone()).await
    }

    pub(crate) async fn open(&self) -> Kms {
        self.try_open().await.unwrap()
    }

    /// Another disk with the same content: a copy of the data directory.
    pub(crate) async fn copy(&self) -> Memory {
        let copy = Memory::new();
        let (from, to) = (self.memory.open().0, copy.open().0);
        let mut scan = Scan::prefix(Keyspace::Records, b"");
        loop {
            let page = from.scan(scan.clone()).await.unwrap();
            let mut batch = Batch::new(u128::from_be_bytes(self.env.random()));
            for (key, value) in &page.items {
                batch.put(Keyspace::Records, key.clone(), value.clone());
            }
            to.commit(batch).await.unwrap();
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return copy,
            }
        }
    }
}

/// A call by the account's root.
pub(crate) fn root() -> CallContext {
    context(Caller::root(ACCOUNT, None))
}

/// A call by the file service.
pub(crate) fn service() -> CallContext {
    context(Caller::service(ACCOUNT, SERVICE))
}

fn context(caller: Caller) -> CallContext {
    CallContext {
        caller,
        region: REGION.to_owned(),
        account: ACCOUNT.to_owned(),
        request_id: "test".to_owned(),
        source_ip: None,
        user_agent: None,
        secure: false,
        time: Timestamp::from_unix(0, 0),
    }
}

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn encryption_context(of: &[(&str, &str)]) -> EncryptionContext {
    EncryptionContext::new(pairs(of)).unwrap()
}

/// A new KMS key's id.
pub(crate) async fn new_key(kms: &Kms) -> String {
    let made = ops::create_key::run(kms, &root(), model::CreateKeyRequest::default()).await.unwrap();
    made.key_metadata.unwrap().key_id
}

pub(crate) async fn describe(kms: &Kms, key_id: &str) -> model::KeyMetadata {
    let input = model::DescribeKeyRequest { key_id: key_id.to_owned(), ..model::DescribeKeyRequest::default() };
    ops::describe_key::run(kms, &root(), input).await.unwrap().key_metadata.unwrap()
}

pub(crate) async fn disable(kms: &Kms, key_id: &str) {
    ops::disable_key::run(kms, &root(), model::DisableKeyRequest { key_id: key_id.to_owned() }).await.unwrap();
}

pub(crate) async fn enable(kms: &Kms, key_id: &str) {
    ops::enable_key::run(kms, &root(), model::EnableKeyRequest { key_id: key_id.to_owned() }).await.unwrap();
}

pub(crate) async fn schedule(kms: &Kms, key_id: &str, days: i32) {
    let input = model::ScheduleKeyDeletionRequest { key_id: key_id.to_owned(), pending_window_in_days: Some(days) };
    ops::schedule_key_deletion::run(kms, &root(), input).await.unwrap();
}

pub(crate) async fn encrypt(kms: &Kms, key_id: &str, context: &[(&str, &str)]) -> Vec<u8> {
    let input = model::EncryptRequest {
        key_id: key_id.to_owned(),
        plaintext: aws_wire::SecretBlob::new(b"plaintext".to_vec()),
        encryption_context: Some(pairs(context)),
        ..model::EncryptRequest::default()
    };
    ops::encrypt::run(kms, &root(), input).await.unwrap().ciphertext_blob.unwrap().0
}

pub(crate) async fn decrypt(kms: &Kms, blob: &[u8], context: &[(&str, &str)]) -> Result<Vec<u8>, KmsError> {
    let input = model::DecryptRequest {
        ciphertext_blob: Some(blob.to_vec().into()),
        encryption_context: Some(pairs(context)),
        ..model::DecryptRequest::default()
    };
    let opened = ops::decrypt::run(kms, &root(), input).await?;
    Ok(opened.plaintext.unwrap().0.to_vec())
}

/// Code and text of an error, as a caller gets them.
pub(crate) fn seen(error: KmsError) -> (String, String) {
    let error = ApiError::from(error);
    (error.code.to_owned(), error.message)
}

pub(crate) fn code<T>(outcome: Result<T, KmsError>) -> String {
    outcome.map_or_else(|error| seen(error).0, |_| "ok".to_owned())
}
