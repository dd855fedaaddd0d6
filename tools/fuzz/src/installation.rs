//! A key management service over memory, the same in every process: clock and randomness are simulated.

use std::sync::{Arc, OnceLock};

use aws_wire::{CallContext, Caller, SecretBlob, Timestamp};
use env::Env;
use kms::root::{FileProvider, RootProvider};
use kms::{KeyRing, Kms, KmsError, model, ops};
use storage::SealedRecords;
use storage::memory::Memory;
use tokio::runtime::Runtime;

const ACCOUNT: &str = "000000000001";

/// The service, one key of it, and what runs its calls.
pub(crate) struct Installation {
    runtime: Runtime,
    pub(crate) kms: Kms,
    pub(crate) key: String,
    pub(crate) cx: CallContext,
    _keys: tempfile::TempDir,
}

impl Installation {
    /// The one of this process.
    pub(crate) fn get() -> &'static Self {
        static ONE: OnceLock<Installation> = OnceLock::new();
        ONE.get_or_init(Self::new)
    }

    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let keys = tempfile::tempdir().expect("a directory for the key files");
        let cx = CallContext {
            caller: Caller::root(ACCOUNT, None),
            region: "us-east-1".to_owned(),
            account: ACCOUNT.to_owned(),
            request_id: "fuzz".to_owned(),
            source_ip: None,
            user_agent: None,
            secure: true,
            time: Timestamp::from_unix(0, 0),
        };
        let (kms, key) = runtime.block_on(async {
            let (env, _simulation) = Env::simulated(1);
            let files = FileProvider::new(keys.path().join("root.key"), keys.path().join("epoch.secret"));
            files.create(&env).expect("key files");
            let provider: Arc<dyn RootProvider> = Arc::new(files);
            let (shard, _) = Memory::new().open();
            KeyRing::create(&shard, &provider, &env).await.expect("a key ring");
            let ring = KeyRing::open(Arc::clone(&shard), provider, env.clone()).await.expect("a key ring");
            let records = SealedRecords::open(shard, &ring.records_key(), env.clone()).await.expect("records");
            let kms = Kms::open(Arc::new(records), ring, env).await.expect("a service");
            let made = ops::create_key::run(&kms, &cx, model::CreateKeyRequest::default()).await.expect("a key");
            (kms, made.key_metadata.expect("its description").key_id)
        });
        Self { runtime, kms, key, cx, _keys: keys }
    }

    /// Waits for a call.
    pub(crate) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// A ciphertext of the key.
    pub(crate) fn encrypted(&self, plaintext: &[u8], context: &[(&str, &str)]) -> Vec<u8> {
        let input = model::EncryptRequest {
            key_id: self.key.clone(),
            plaintext: SecretBlob::new(plaintext.to_vec()),
            encryption_context: Some(context.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()),
            ..model::EncryptRequest::default()
        };
        let made: Result<_, KmsError> = self.wait(ops::encrypt::run(&self.kms, &self.cx, input));
        made.expect("a ciphertext").ciphertext_blob.expect("its bytes").0
    }
}
