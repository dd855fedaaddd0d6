//! CPU of KMS in process, without HTTP: `cargo run --release -p kms --example measure_kms`.

use std::sync::Arc;
use std::time::Duration;

use aws_wire::{CallContext, Caller, SecretBlob, Timestamp};
use env::Env;
use kms::root::{FileProvider, RootProvider};
use kms::{KeyRing, Kms, KmsError, model, ops};
use storage::SealedRecords;
use storage::memory::Memory;

const ROUNDS: u32 = 20_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let env = Env::real();
    let files = FileProvider::new(directory.path().join("root.key"), directory.path().join("epoch.secret"));
    files.create(&env)?;
    let provider: Arc<dyn RootProvider> = Arc::new(files);
    let (shard, _) = Memory::new().open();
    KeyRing::create(&shard, &provider, &env).await?;
    let ring = KeyRing::open(Arc::clone(&shard), provider, env.clone()).await?;
    let records = SealedRecords::open(shard, &ring.records_key(), env.clone()).await?;
    let kms = Kms::open(Arc::new(records), ring, env.clone()).await?;
    let cx = context();
    let made = ops::create_key::run(&kms, &cx, model::CreateKeyRequest::default()).await?;
    let key_id = made.key_metadata.map(|metadata| metadata.key_id).unwrap_or_default();
    for bytes in [32, 4096] {
        let blob = encrypt(&kms, &cx, &key_id, bytes).await?;
        let start = env.now();
        for _ in 0..ROUNDS {
            encrypt(&kms, &cx, &key_id, bytes).await?;
        }
        report("Encrypt", bytes, env.now().since(start));
        let start = env.now();
        for _ in 0..ROUNDS {
            let input = model::DecryptRequest {
                ciphertext_blob: Some(blob.clone().into()),
                ..model::DecryptRequest::default()
            };
            ops::decrypt::run(&kms, &cx, input).await?;
        }
        report("Decrypt", bytes, env.now().since(start));
    }
    for bytes in [32, 1024] {
        let start = env.now();
        for _ in 0..ROUNDS {
            let input = model::GenerateDataKeyRequest {
                key_id: key_id.clone(),
                number_of_bytes: Some(bytes),
                ..model::GenerateDataKeyRequest::default()
            };
            ops::generate_data_key::run(&kms, &cx, input).await?;
        }
        report("GenerateDataKey", usize::try_from(bytes)?, env.now().since(start));
    }
    Ok(())
}

async fn encrypt(kms: &Kms, cx: &CallContext, key_id: &str, bytes: usize) -> Result<Vec<u8>, KmsError> {
    let input = model::EncryptRequest {
        key_id: key_id.to_owned(),
        plaintext: SecretBlob::new(vec![7; bytes]),
        ..model::EncryptRequest::default()
    };
    Ok(ops::encrypt::run(kms, cx, input).await?.ciphertext_blob.unwrap_or_default().0)
}

fn report(action: &str, bytes: usize, took: Duration) {
    println!("{action:8} {bytes:5} bytes {:7.2} us", took.as_secs_f64() * 1e6 / f64::from(ROUNDS));
}

fn context() -> CallContext {
    CallContext {
        caller: Caller::root("000000000001", None),
        region: "us-east-1".to_owned(),
        account: "000000000001".to_owned(),
        request_id: String::new(),
        source_ip: None,
        user_agent: None,
        secure: true,
        time: Timestamp::from_unix(0, 0),
    }
}
