//! An installation opened from its configuration: engine, control shard, key ring and sealed records, behind one lock.
//!
//! ```text
//! DATA/LOCK          held by the one process that owns the directory
//! DATA/control/      the control shard: KMS, identities, file systems, the certificate authority
//! DATA/fs/fs-…/      one directory per file system
//! DATA/fs/.gone-…/   one that is being removed
//! DATA/audit.log     the audit log, with its closed files beside it
//! ```

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kms::root::{FileProvider, Openers, Recipient, RootError, RootProvider};
use kms::{KeyRing, KeyRingError};
use serde::{Deserialize, Serialize};
use storage::{Budgets, Change, DirectoryLock, Engine, SealedRecords, Shard};
use zeroize::Zeroizing;

use crate::CofferError;
use crate::certificates::{self, Authority};
use crate::config::Config;
use crate::passphrase;

/// Where the certificate authority is kept in the sealed records.
const AUTHORITY_RECORD: &str = "coffer/authority";

/// Where region and account are kept in the sealed records.
const PLACE_RECORD: &str = "coffer/place";

/// The directory of the control shard.
pub(crate) fn control_directory(config: &Config) -> PathBuf {
    config.data.join("control")
}

/// The directory that holds one directory per file system.
pub(crate) fn file_systems_directory(config: &Config) -> PathBuf {
    config.data.join("fs")
}

/// The directory of one file system.
pub(crate) fn file_system_directory(config: &Config, id: &str) -> PathBuf {
    file_systems_directory(config).join(id)
}

/// The audit log.
pub(crate) fn audit_log(config: &Config) -> PathBuf {
    config.data.join("audit.log")
}

/// Makes a directory that only its owner may enter, unless it exists.
pub(crate) fn private_directory(path: &Path) -> Result<(), CofferError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| CofferError::io(path, &error))
}

/// The parts of an installation that everything else stands on.
pub(crate) struct Installation {
    pub(crate) env: env::Env,
    pub(crate) engine: Engine,
    pub(crate) records: Arc<SealedRecords>,
    pub(crate) control_shard: Arc<dyn Shard>,
    #[expect(dead_code, reason = "the lock is held as long as the installation is open")]
    lock: DirectoryLock,
}

impl Installation {
    /// Makes a new one: the key files, the control shard, the certificate authority.
    pub(crate) async fn create(config: &Config, recipients: &[Recipient]) -> Result<(Self, KeyRing), CofferError> {
        let env = env::Env::real();
        private_directory(&config.data)?;
        let lock = DirectoryLock::acquire(&config.data).map_err(CofferError::stopped)?;
        private_directory(&file_systems_directory(config))?;
        let provider = provider(config)?;
        provider.create_for(recipients, 1, &env).map_err(CofferError::stopped)?;
        let provider: Arc<dyn RootProvider> = Arc::new(provider);
        let engine = engine(config, &env)?;
        let (shard, _) = engine.create(&control_directory(config)).await.map_err(CofferError::stopped)?;
        KeyRing::create(&shard, &provider, &env).await.map_err(CofferError::stopped)?;
        let (installation, ring) = Self::with_shard(config, env, engine, shard, provider, lock).await?;
        let common_name = format!("Coffer {} {} CA", config.region, installation.env.hex_id(""));
        let authority = Authority::generate(&common_name, certificates::now(&installation.env))?;
        installation.keep_authority(&authority).await?;
        installation.must_be_of(config).await?;
        Ok((installation, ring))
    }

    /// Opens the one that `coffer init` made, for a command: whoever runs it is asked for a passphrase or PIN that is needed.
    pub(crate) async fn open(config: &Config) -> Result<(Self, KeyRing), CofferError> {
        Self::open_with(config, Arc::new(open_provider(config)?)).await
    }

    /// The same with a provider whose root key is to be had.
    pub(crate) async fn open_with(
        config: &Config,
        provider: Arc<dyn RootProvider>,
    ) -> Result<(Self, KeyRing), CofferError> {
        let env = env::Env::real();
        let directory = control_directory(config);
        must_be_there(&directory, config)?;
        let lock = DirectoryLock::acquire(&config.data).map_err(CofferError::stopped)?;
        let engine = engine(config, &env)?;
        let (shard, _) = engine.open(&directory).await.map_err(CofferError::stopped)?;
        let (installation, ring) = Self::with_shard(config, env, engine, shard, provider, lock).await?;
        installation.must_be_of(config).await?;
        Ok((installation, ring))
    }

    /// Region and account are in every ARN: under others the file systems and keys would still be there, and nobody would
    /// find them. Notes them on the first opening.
    async fn must_be_of(&self, config: &Config) -> Result<(), CofferError> {
        let directory = control_directory(config);
        let within = |error: &dyn std::fmt::Display| CofferError::within(&directory, error);
        let now = Place { region: config.region.clone(), account: config.account.clone() };
        let Some(bytes) = self.records.get(PLACE_RECORD).await.map_err(|error| within(&error))? else {
            let bytes = serde_json::to_vec(&now).map_err(CofferError::stopped)?;
            let noted = self.records.commit(vec![Change::Put(PLACE_RECORD.to_owned(), bytes)]).await;
            return noted.map_err(|error| within(&error));
        };
        let made: Place = serde_json::from_slice(&bytes).map_err(|error| within(&damaged(PLACE_RECORD, &error)))?;
        if made == now {
            return Ok(());
        }
        let (region, account) = (made.region, made.account);
        Err(CofferError::Stopped(format!(
            "{} was made for region {region} and account {account}, but the configuration says {} and {}; set them back",
            config.data.display(),
            now.region,
            now.account
        )))
    }

    async fn with_shard(
        config: &Config,
        env: env::Env,
        engine: Engine,
        shard: Arc<dyn Shard>,
        provider: Arc<dyn RootProvider>,
        lock: DirectoryLock,
    ) -> Result<(Self, KeyRing), CofferError> {
        let directory = control_directory(config);
        // What is wrong with the key files names them; what is wrong with the records is in the control shard.
        let ring = KeyRing::open(Arc::clone(&shard), provider, env.clone()).await.map_err(|error| match error {
            KeyRingError::Storage(error) => CofferError::within(&directory, error),
            error => CofferError::stopped(error),
        })?;
        let records = SealedRecords::open(Arc::clone(&shard), &ring.records_key(), env.clone()).await;
        let records = records.map_err(|error| CofferError::within(&directory, error))?;
        let records = Arc::new(records.at(directory.display().to_string()));
        Ok((Self { env, engine, records, control_shard: shard, lock }, ring))
    }

    /// The certificate authority that init made.
    pub(crate) async fn authority(&self) -> Result<Authority, CofferError> {
        let found = self.records.get(AUTHORITY_RECORD).await.map_err(CofferError::stopped)?;
        let bytes = found.ok_or_else(|| CofferError::stopped("the control records have no certificate authority"))?;
        let kept: Kept =
            serde_json::from_slice(&bytes).map_err(|error| CofferError::Stopped(damaged(AUTHORITY_RECORD, &error)))?;
        let key = Zeroizing::new(kept.key.clone());
        Ok(Authority::restore(kept.common_name.clone(), key, kept.certificate_pem.clone()))
    }

    async fn keep_authority(&self, authority: &Authority) -> Result<(), CofferError> {
        let kept = Kept {
            common_name: authority.common_name().to_owned(),
            key: authority.key.to_vec(),
            certificate_pem: authority.certificate_pem.clone(),
        };
        // Room enough, so that no half of it is left behind where it grew; the change wipes it.
        let mut bytes = Vec::with_capacity(64 << 10);
        serde_json::to_writer(&mut bytes, &kept).map_err(CofferError::stopped)?;
        let change = Change::Put(AUTHORITY_RECORD.to_owned(), bytes);
        self.records.commit(vec![change]).await.map_err(CofferError::stopped)
    }

    /// Closes the control shard, so that the next start replays nothing.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.control_shard.close().await {
            tracing::error!(%error, "the control shard did not close cleanly; the next start replays its journal");
        }
    }
}

/// What opens the root key unasked, by the configuration.
pub(crate) fn openers(config: &Config) -> Openers {
    Openers { identities: config.root.identities.clone(), pin_file: config.root.pin_file.clone() }
}

/// The provider that the configuration names; nothing is read yet.
pub(crate) fn provider(config: &Config) -> Result<FileProvider, CofferError> {
    let root_key = match config.root_credential() {
        None => config.root_key.clone(),
        Some(name) => {
            let missing = || {
                CofferError::Stopped(format!(
                    "root_key = \"credential:{name}\", but CREDENTIALS_DIRECTORY is not set: start this by systemd with \
                     LoadCredential={name}:FILE or LoadCredentialEncrypted={name}:FILE (commands: systemd-run -P -p …)"
                ))
            };
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|directory| !directory.is_empty());
            PathBuf::from(directory.ok_or_else(missing)?).join(name)
        }
    };
    Ok(FileProvider::new(root_key, &config.epoch_secret).with_openers(openers(config)))
}

/// The provider with its root key at hand; whoever runs the command is asked for what that takes.
pub(crate) fn open_provider(config: &Config) -> Result<FileProvider, CofferError> {
    let provider = provider(config)?;
    if let Err(RootError::Sealed { .. }) = provider.load() {
        let secret = passphrase::obtain(None, "Passphrase or PIN of the root key")?;
        provider.unseal(&secret).map_err(CofferError::stopped)?;
    }
    // Whatever else is wrong is told where it is needed.
    Ok(provider)
}

/// Not root and not there are two things: whoever may not look must not be told to make a new installation.
pub(crate) fn must_be_there(directory: &Path, config: &Config) -> Result<(), CofferError> {
    match std::fs::read_dir(directory) {
        Ok(_) if Engine::exists(directory) => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(CofferError::io(directory, &error)),
        Ok(_) | Err(_) => Err(CofferError::File {
            path: config.data.clone(),
            why: "this is no data directory of Coffer; make one with `coffer init`, or correct `data` in the configuration"
                .to_owned(),
        }),
    }
}

fn damaged(record: &str, error: &serde_json::Error) -> String {
    format!("the control record {record} is damaged: {error}; restore the data directory from a backup")
}

/// What the installation was made for; its record, format 1: JSON within a sealed record.
#[derive(PartialEq, Serialize, Deserialize)]
struct Place {
    region: String,
    account: String,
}

/// The authority's record, format 1: JSON within a sealed record.
#[derive(Serialize, Deserialize)]
struct Kept {
    common_name: String,
    key: Vec<u8>,
    certificate_pem: String,
}

impl Drop for Kept {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

pub(crate) fn engine(config: &Config, env: &env::Env) -> Result<Engine, CofferError> {
    let mib = |count: usize| (count as u64) << 20;
    let budgets = Budgets {
        cache_bytes: mib(config.budgets.engine_cache_mib),
        memtable_bytes: mib(config.budgets.engine_write_mib),
        ..Budgets::default()
    };
    Engine::new(budgets, env.clone()).map_err(CofferError::stopped)
}
