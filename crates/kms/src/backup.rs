//! A backup of keys, made on purpose: the control key, the domain keys in force and every record of KMS keys, as one JSON
//! document that its maker seals with a secret of its own. docs/on-disk-format.md, "Key backup".
//!
//! Two things can be done with one. [`recover`] gives a data directory of the same epoch a new root key and epoch secret,
//! when the old ones are lost. [`Kms::import_keys`] brings KMS keys back that an installation does not have any more. A
//! deletion does not reach a backup: whoever keeps one from before it keeps the key.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto::Key;
use env::Env;
use serde::{Deserialize, Serialize};
use storage::{SealedRecords, Shard};
use zeroize::{Zeroize as _, Zeroizing};

use crate::KmsError;
use crate::keyring::{KeyRing, KeyRingError, open_under};
use crate::kms::{Kms, material_aad};
use crate::material::sealed_aad;
use crate::record::{AliasRecord, GrantRecord, KeyRecord, KeyState, MaterialRecord, Version};
use crate::root::{EpochSecret, FileProvider, Recipient, RootProvider as _};
use crate::state::{Edit, read_record};

const FORMAT: u32 = 1;
/// No installation has more records than fit this.
pub const BACKUP_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why a backup cannot be used. Each text names the cure.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Not a backup.
    #[error("not a Coffer key backup or damaged: {0}; take another copy of it")]
    Malformed(String),
    /// Written by a later version.
    #[error("a key backup of format {0}, but this version reads {FORMAT}; use the version that wrote it")]
    Version(u32),
    /// The data directory went on to epochs that the backup does not know.
    #[error(
        "the backup is older than a deletion: it has the keys of epoch {backup}, the data directory is at {data}; use a newer backup, or the copy of the data directory that belongs to this one"
    )]
    Older {
        /// Newest epoch of the backup.
        backup: u64,
        /// Newest epoch of the data directory.
        data: u64,
    },
    /// The backup is of another installation.
    #[error("the backup is of another installation: its control key does not open the records of this data directory")]
    Other,
    /// Everything in it is there already.
    #[error("every KMS key of the backup exists here already; an import never overwrites one")]
    NothingMissing,
    /// The key ring's trouble.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// The service's trouble.
    #[error(transparent)]
    Kms(#[from] KmsError),
}

/// A backup, open.
pub struct Backup {
    control: Key,
    domains: BTreeMap<u64, Key>,
    records: Vec<(String, Vec<u8>)>,
}

/// The document. Its secrets are wiped when it goes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    coffer_key_backup: u32,
    control_key: String,
    domain_keys: BTreeMap<u64, String>,
    records: BTreeMap<String, String>,
}

impl Drop for Document {
    fn drop(&mut self) {
        self.control_key.zeroize();
        self.domain_keys.values_mut().for_each(String::zeroize);
    }
}

impl Backup {
    /// Reads a backup's text.
    pub fn parse(text: &[u8]) -> Result<Self, BackupError> {
        #[derive(Deserialize)]
        struct Head {
            coffer_key_backup: u32,
        }
        let malformed = |cause: serde_json::Error| BackupError::Malformed(cause.to_string());
        let head: Head = serde_json::from_slice(text).map_err(malformed)?;
        if head.coffer_key_backup != FORMAT {
            return Err(BackupError::Version(head.coffer_key_backup));
        }
        let document: Document = serde_json::from_slice(text).map_err(malformed)?;
        let key = |hex: &str| {
            let mut bytes = Zeroizing::new([0; 32]);
            let decoded = hex::decode_to_slice(hex, bytes.as_mut_slice());
            decoded.map_err(|_| BackupError::Malformed("a key is not 64 hexadecimal digits".to_owned()))?;
            Ok::<_, BackupError>(Key::take_array(&mut bytes))
        };
        let domains = document.domain_keys.iter().map(|(epoch, hex)| Ok((*epoch, key(hex)?)));
        let domains = domains.collect::<Result<BTreeMap<_, _>, BackupError>>()?;
        if domains.is_empty() {
            return Err(BackupError::Malformed("it has no domain key".to_owned()));
        }
        let records = document.records.iter().map(|(name, text)| {
            let bytes = STANDARD.decode(text).map_err(|cause| BackupError::Malformed(format!("{name}: {cause}")))?;
            Ok((name.clone(), bytes))
        });
        let records = records.collect::<Result<Vec<_>, BackupError>>()?;
        Ok(Self { control: key(&document.control_key)?, domains, records })
    }

    /// Newest epoch whose domain key it has.
    fn newest(&self) -> u64 {
        self.domains.keys().next_back().copied().unwrap_or_default()
    }

    fn edits(&self) -> Result<Vec<Edit>, BackupError> {
        let records = self.records.iter();
        records.map(|(name, bytes)| Ok(read_record(name, bytes)?)).collect()
    }
}

impl Kms {
    /// The backup as text, to be sealed at once. It holds secrets in the clear.
    pub async fn backup(&self) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        // Nothing changes meanwhile: keys and records belong together.
        let _turn = self.turn().await;
        let records = self.records().load("kms/").await?;
        let encoded: BTreeMap<String, String> =
            records.into_iter().map(|(name, bytes)| (name, STANDARD.encode(&*bytes))).collect();
        let (control, domains) = self.ring().expose();
        let document = Document {
            coffer_key_backup: FORMAT,
            control_key: hex::encode(control.expose()),
            domain_keys: domains.iter().map(|(epoch, key)| (*epoch, hex::encode(key.expose()))).collect(),
            records: encoded,
        };
        let length: usize = document.records.iter().map(|(name, text)| name.len() + text.len() + 16).sum();
        // Room enough, so that no copy of the keys is left behind where it grew.
        let mut text = Zeroizing::new(Vec::with_capacity(length + 4096 + 128 * document.domain_keys.len()));
        serde_json::to_writer(&mut *text, &document).map_err(|cause| KmsError::Damaged(cause.to_string()))?;
        Ok(text)
    }

    /// Brings back the KMS keys of a backup that are not there, disabled, with their aliases and grants where these are free;
    /// gives their ARNs. A KMS key that exists is left as it is.
    pub async fn import_keys(&self, backup: &Backup) -> Result<Vec<String>, BackupError> {
        let turn = self.turn().await;
        let mut wanted: BTreeMap<String, (Option<KeyRecord>, Option<MaterialRecord>)> = BTreeMap::new();
        let (mut aliases, mut grants): (Vec<AliasRecord>, Vec<GrantRecord>) = (Vec::new(), Vec::new());
        for edit in backup.edits()? {
            match edit {
                Edit::PutKey(key) => {
                    let id = key.id.clone();
                    wanted.entry(id).or_default().0 = Some(key);
                }
                Edit::PutMaterial(material) => {
                    let id = material.key.clone();
                    wanted.entry(id).or_default().1 = Some(material);
                }
                Edit::PutAlias(alias) => aliases.push(alias),
                Edit::PutGrant(grant) => grants.push(grant),
                _ => {}
            }
        }
        let here = |id: &String| self.read(|state| state.keys.contains_key(id) || state.material.contains_key(id));
        let mut imported = Vec::new();
        for (id, (key, material)) in wanted {
            let (Some(mut key), Some(mut material)) = (key, material) else { continue };
            if here(&id) {
                continue;
            }
            for version in material.all_mut() {
                self.adopt(&key, version, backup)?;
            }
            if key.state != KeyState::PendingImport {
                // Nothing opens by an import alone: whoever imported a key also enables it.
                key.state = KeyState::Disabled;
            }
            let mut edits = vec![Edit::PutMaterial(material)];
            let free = |alias: &&AliasRecord| {
                let place = (alias.account.clone(), alias.region.clone(), alias.name.clone());
                alias.key == id && self.read(|state| !state.aliases.contains_key(&place))
            };
            edits.extend(aliases.iter().filter(free).cloned().map(Edit::PutAlias));
            edits.extend(grants.iter().filter(|grant| grant.key == id).cloned().map(Edit::PutGrant));
            let arn = key.arn();
            // The key comes last: until then a crash leaves nothing that counts as one.
            edits.push(Edit::PutKey(key));
            crate::custody::write_in_steps(&turn, edits).await?;
            imported.push(arn);
        }
        if imported.is_empty() { Err(BackupError::NothingMissing) } else { Ok(imported) }
    }

    fn adopt(&self, key: &KeyRecord, version: &mut Version, backup: &Backup) -> Result<(), BackupError> {
        // Imported material that was deleted before the backup was made.
        let Some(wrapped) = &version.wrapped else { return Ok(()) };
        let damaged = || BackupError::Malformed(format!("the material of {} does not open", key.arn()));
        let domain = backup.domains.get(&wrapped.epoch).ok_or_else(damaged)?;
        let again = if key.kind.is_symmetric() {
            let aad = material_aad(key, &version.id);
            let opened = domain.unwrap(&wrapped.sealed, &aad).map_err(|_| damaged())?;
            self.ring().wrap_key(&opened, &aad)
        } else {
            let aad = sealed_aad(key, &version.id);
            let opened = open_under(domain, &wrapped.sealed, &aad).map_err(|_| damaged())?;
            self.ring().seal(&opened, &aad)
        };
        version.wrapped = Some(again);
        Ok(())
    }
}

/// Gives a data directory whose root key or epoch secret is lost new ones, from a backup of the same epoch. The files of
/// `provider` must not exist. They are written first, the key ring after them, in one commit.
pub async fn recover(
    shard: &Arc<dyn Shard>,
    provider: &FileProvider,
    recipients: &[Recipient],
    backup: &Backup,
    env: &Env,
) -> Result<(), BackupError> {
    let epochs = KeyRing::epochs_of(shard).await?;
    let data = epochs.iter().next_back().copied().ok_or(KeyRingError::NotInitialised)?;
    if !epochs.iter().all(|epoch| backup.domains.contains_key(epoch)) {
        return Err(BackupError::Older { backup: backup.newest(), data });
    }
    let records_key = crate::keyring::records_key(&backup.control);
    SealedRecords::open(Arc::clone(shard), &records_key, env.clone()).await.map_err(|_| BackupError::Other)?;
    // In the middle of a move there are two epochs: the older one is in force, and the next opening goes on.
    let oldest = epochs.iter().next().copied().unwrap_or(data);
    provider.create_for(recipients, oldest, env).map_err(KeyRingError::from)?;
    if oldest != data {
        let next = EpochSecret { epoch: data, secret: Key::random(env) };
        provider.stage(&next).map_err(KeyRingError::from)?;
    }
    let secrets = provider.load().map_err(KeyRingError::from)?;
    KeyRing::replace(shard, &secrets, &backup.control, &backup.domains, env).await?;
    Ok(())
}
