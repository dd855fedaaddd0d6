//! The key ring: level 1 of the hierarchy. Domain keys by epoch and the control key, wrapped under the root key and
//! the epoch secret together.
//!
//! One row per epoch lies in the control shard outside the sealed records, because it must be read before they can
//! be. Moving to the next epoch is: stage the next secret, commit the next row, wrap everything that survives under
//! the new domain key, promote the secret (which destroys the old one), delete the old row. A crash after any step
//! leaves either both epochs readable or only the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use crypto::{Key, Label, OpenFailed, WRAPPED_BYTES};
use env::Env;
use parking_lot::RwLock;
use storage::{Batch, CommitError, Keyspace, Scan, Shard, StorageError};
use zeroize::Zeroizing;

use crate::root::{CHECK_BYTES, EpochSecret, Recipient, RootError, RootProvider, RootSecrets, check_value};
use crate::wrapped::{UnwrapError, Wrapped};

/// First byte of every row that lies outside the sealed records.
const ROW_PREFIX: &[u8] = b"\x00keyring/";
/// What is written. Version 1 is still read.
const ROW_VERSION: u8 = 2;
/// Version and salt, before the ciphertext of a wrapped key.
const WRAPPED_HEAD_BYTES: usize = 1 + 16;
const SEAL: Label = Label::new("kms/domain");

/// Why the key ring does not open. Each text names the file and the cure.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The provider's own trouble.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The control shard's trouble.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A commit failed.
    #[error("the key ring cannot be written: {0}")]
    Commit(#[from] CommitError),
    /// There is no row at all.
    #[error("the data directory holds no key ring; run `coffer init` on an empty data directory")]
    NotInitialised,
    /// There are rows already.
    #[error("the data directory holds a key ring already; `coffer init` works on an empty data directory only")]
    Exists,
    /// The root key is not the one that wrapped the key ring.
    #[error(
        "{file}: wrong root key (this is {given}, the data directory was made with {expected}); put the right root key file there"
    )]
    WrongRootKey {
        /// The provider's root key file.
        file: String,
        /// Check value of the key in that file.
        given: String,
        /// Check value of the key that is needed.
        expected: String,
    },
    /// The epoch secret is younger than the data directory.
    #[error(
        "the data directory is an older copy, from before an erasure (its keys are of epoch {data}, {file} is at {secret}); what was erased cannot be brought back: use the newest data directory"
    )]
    DataOlder {
        /// The provider's epoch-secret file.
        file: String,
        /// Newest epoch of the data directory.
        data: u64,
        /// Epoch of the secret.
        secret: u64,
    },
    /// The epoch secret is older than the data directory.
    #[error(
        "{file}: older than the data directory (the file is at epoch {secret}, the keys are of {data}); put the newest epoch-secret file there"
    )]
    SecretOlder {
        /// The provider's epoch-secret file.
        file: String,
        /// Newest epoch of the data directory.
        data: u64,
        /// Epoch of the secret.
        secret: u64,
    },
    /// The staged successor is not readable, and there are keys that need it.
    #[error(
        "{file}: not readable, and the keys of epoch {data} need it (the secret in force is of epoch {secret}); restore that file from a copy"
    )]
    SuccessorDamaged {
        /// The staged successor's file.
        file: String,
        /// Newest epoch of the data directory.
        data: u64,
        /// Epoch of the secret in force.
        secret: u64,
    },
    /// A row does not open although root key and epoch are right.
    #[error(
        "the key ring row of epoch {epoch} does not open with {file}: one of the two is damaged; restore the epoch-secret file or the data directory from a copy"
    )]
    Damaged {
        /// The provider's epoch-secret file.
        file: String,
        /// Epoch of the row.
        epoch: u64,
    },
}

struct Epochs {
    current: u64,
    keys: BTreeMap<u64, Key>,
}

/// The open key ring.
pub struct KeyRing {
    shard: Arc<dyn Shard>,
    provider: Arc<dyn RootProvider>,
    env: Env,
    control: Key,
    epochs: RwLock<Epochs>,
}

impl KeyRing {
    /// Makes the first row. For `coffer init`, after the provider's files were made.
    pub async fn create(
        shard: &Arc<dyn Shard>,
        provider: &Arc<dyn RootProvider>,
        env: &Env,
    ) -> Result<(), KeyRingError> {
        if !rows(shard).await?.is_empty() {
            return Err(KeyRingError::Exists);
        }
        let secrets = provider.load()?;
        let row = Row::seal(&secrets.root, &secrets.current, &Key::random(env), &Key::random(env), env);
        write(shard, env, vec![row.put()], Vec::new()).await
    }

    /// Opens the ring. Where a move to the next epoch was interrupted both epochs are open and the worker finishes it.
    pub async fn open(shard: Arc<dyn Shard>, provider: Arc<dyn RootProvider>, env: Env) -> Result<Self, KeyRingError> {
        let rows = rows(&shard).await?;
        // Before anything is asked for: a replacement of the root key that was interrupted decides which one it is.
        if let Some(row) = rows.values().next_back() {
            provider.settle_root(&row.check)?;
        }
        let secrets = provider.load()?;
        let Some(newest) = rows.keys().next_back().copied() else { return Err(KeyRingError::NotInitialised) };
        check_root(&secrets, &rows, provider.as_ref())?;
        let current = secrets.current.epoch;
        let staged = secrets.staged.as_ref().filter(|staged| rows.contains_key(&staged.epoch));
        let newest_readable = staged.map_or(current, |staged| staged.epoch.max(current));
        let file = provider.epoch_name();
        if newest > newest_readable && secrets.staged_damaged {
            let file = provider.staged_name();
            return Err(KeyRingError::SuccessorDamaged { file, data: newest, secret: current });
        }
        if newest > newest_readable {
            return Err(KeyRingError::SecretOlder { file, data: newest, secret: newest_readable });
        }
        let Some(row) = rows.get(&current) else {
            return Err(KeyRingError::DataOlder { file, data: newest, secret: current });
        };
        let (control, domain) = row.open(&secrets.root, &secrets.current, &file)?;
        let mut epochs = Epochs { current, keys: BTreeMap::from([(current, domain)]) };
        match (&secrets.staged, staged) {
            (_, Some(staged)) if staged.epoch > current => {
                if let Some(row) = rows.get(&staged.epoch) {
                    let (_, domain) = row.open(&secrets.root, staged, &file)?;
                    epochs.keys.insert(staged.epoch, domain);
                    epochs.current = staged.epoch;
                }
            }
            // Staged before its row was durable: nothing depends on it.
            (Some(_), _) => provider.discard_staged()?,
            // Nor on one that was torn while it was written.
            (None, _) if secrets.staged_damaged => provider.discard_staged()?,
            (None, _) => {}
        }
        let left_over: Vec<u64> = rows.keys().copied().filter(|epoch| *epoch < current).collect();
        let ring = Self { shard, provider, env, control, epochs: RwLock::new(epochs) };
        ring.delete_rows(&left_over).await?;
        Ok(ring)
    }

    /// A key for the sealed records of the control shard.
    #[must_use]
    pub fn records_key(&self) -> Key {
        records_key(&self.control)
    }

    /// The control key and the domain keys in force, for a backup that is made on purpose.
    pub(crate) fn expose(&self) -> (&Key, parking_lot::MappedRwLockReadGuard<'_, BTreeMap<u64, Key>>) {
        (&self.control, parking_lot::RwLockReadGuard::map(self.epochs.read(), |epochs| &epochs.keys))
    }

    /// The epochs that a data directory has rows of.
    pub(crate) async fn epochs_of(shard: &Arc<dyn Shard>) -> Result<BTreeSet<u64>, KeyRingError> {
        Ok(rows(shard).await?.into_keys().collect())
    }

    /// Puts rows of these epochs under other secrets, in one commit.
    pub(crate) async fn replace(
        shard: &Arc<dyn Shard>,
        secrets: &RootSecrets,
        control: &Key,
        domains: &BTreeMap<u64, Key>,
        env: &Env,
    ) -> Result<(), KeyRingError> {
        let known = [Some(&secrets.current), secrets.staged.as_ref()].into_iter().flatten();
        let rows = known.filter_map(|secret| {
            let domain = domains.get(&secret.epoch)?;
            Some(Row::seal(&secrets.root, secret, control, domain, env).put())
        });
        write(shard, env, rows.collect(), Vec::new()).await
    }

    /// A key derived from the control key for one named purpose, such as wrapping the handle keys of file systems.
    #[must_use]
    pub fn control_subkey(&self, purpose: &'static str) -> Key {
        self.control.derive(purpose, b"control subkey")
    }

    /// Whether a move to the next epoch was begun and not finished.
    pub(crate) fn moving(&self) -> bool {
        self.epochs.read().keys.len() > 1
    }

    /// The epoch under which new things are wrapped.
    pub(crate) fn epoch(&self) -> u64 {
        self.epochs.read().current
    }

    /// First half of a move: from here on everything new is wrapped under the next epoch, and both open.
    pub(crate) async fn begin_move(&self) -> Result<(), KeyRingError> {
        if self.moving() {
            return Ok(());
        }
        let secrets = self.provider.load()?;
        // A secret staged by an attempt whose commit has an unknown outcome is taken again: its row may exist.
        let epoch = secrets.current.epoch + 1;
        let next = match secrets.staged {
            Some(staged) if staged.epoch == epoch => staged,
            _ => {
                let next = EpochSecret { epoch, secret: Key::random(&self.env) };
                self.provider.stage(&next)?;
                next
            }
        };
        let domain = Key::random(&self.env);
        let row = Row::seal(&secrets.root, &next, &self.control, &domain, &self.env);
        write(&self.shard, &self.env, vec![row.put()], Vec::new()).await?;
        let mut epochs = self.epochs.write();
        epochs.keys.insert(next.epoch, domain);
        epochs.current = next.epoch;
        Ok(())
    }

    /// Second half: the old secret, the old row and the old domain key are destroyed. Everything that is to survive
    /// has been wrapped again before.
    pub(crate) async fn finish_move(&self) -> Result<(), KeyRingError> {
        if !self.moving() {
            return Ok(());
        }
        self.provider.promote()?;
        let old: Vec<u64> = {
            let mut epochs = self.epochs.write();
            let current = epochs.current;
            let kept = epochs.keys.split_off(&current);
            std::mem::replace(&mut epochs.keys, kept).into_keys().collect()
        };
        self.delete_rows(&old).await
    }

    /// Replaces the root key: a new one for these recipients, under which level 1 alone is wrapped again, in one commit. A
    /// crash before the commit leaves the old root key in force, one after it the new one; the next opening settles which.
    pub async fn rewrap_root(&self, recipients: &[Recipient]) -> Result<(), KeyRingError> {
        let (secrets, provider) = (self.provider.load()?, self.provider.as_ref());
        let file = provider.epoch_name();
        let next = Arc::new(Key::random(&self.env));
        provider.stage_root(&next, recipients, &self.env)?;
        let mut puts = Vec::new();
        for row in rows(&self.shard).await?.values() {
            // In the middle of a move there are two epochs, each with its own secret.
            let known = [Some(&secrets.current), secrets.staged.as_ref()].into_iter().flatten();
            let secret = known.into_iter().find(|secret| secret.epoch == row.epoch);
            let damaged = || KeyRingError::Damaged { file: file.clone(), epoch: row.epoch };
            let secret = secret.ok_or_else(damaged)?;
            let (control, domain) = row.open(&secrets.root, secret, &file)?;
            puts.push(Row::seal(&next, secret, &control, &domain, &self.env).put());
        }
        write(&self.shard, &self.env, puts, Vec::new()).await?;
        provider.settle_root(&check_value(&next))?;
        Ok(())
    }

    pub(crate) fn wrap_key(&self, key: &Key, aad: &[u8]) -> Wrapped {
        self.with_current(|epoch, domain| Wrapped { epoch, sealed: domain.wrap(key, aad, &self.env) })
    }

    pub(crate) fn unwrap_key(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<Key, UnwrapError> {
        let epochs = self.epochs.read();
        let domain = epochs.keys.get(&wrapped.epoch).ok_or(UnwrapError::EpochGone)?;
        Ok(domain.unwrap(&wrapped.sealed, aad)?)
    }

    pub(crate) fn seal(&self, bytes: &[u8], aad: &[u8]) -> Wrapped {
        self.with_current(|epoch, domain| Wrapped { epoch, sealed: domain.seal(SEAL, aad, bytes, &self.env) })
    }

    pub(crate) fn open_sealed(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        let epochs = self.epochs.read();
        let domain = epochs.keys.get(&wrapped.epoch).ok_or(UnwrapError::EpochGone)?;
        Ok(domain.open(SEAL, aad, &wrapped.sealed)?)
    }

    fn with_current<T>(&self, work: impl FnOnce(u64, &Key) -> T) -> T {
        let epochs = self.epochs.read();
        let current = epochs.keys.get(&epochs.current);
        assert!(current.is_some(), "the current epoch's domain key is always in the ring");
        current.map_or_else(|| unreachable!("checked above"), |domain| work(epochs.current, domain))
    }

    async fn delete_rows(&self, epochs: &[u64]) -> Result<(), KeyRingError> {
        if epochs.is_empty() {
            return Ok(());
        }
        let deletes = epochs.iter().map(|epoch| row_key(*epoch)).collect();
        write(&self.shard, &self.env, Vec::new(), deletes).await
    }
}

/// Opens what [`KeyRing::seal`] sealed under this domain key.
pub(crate) fn open_under(domain: &Key, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenFailed> {
    domain.open(SEAL, aad, sealed)
}

/// The key of the sealed records under this control key.
pub(crate) fn records_key(control: &Key) -> Key {
    control.derive("kms/records", b"")
}

/// One stored row: version, epoch, check value of the root key, the control key and the domain key, both wrapped.
struct Row {
    version: u8,
    epoch: u64,
    check: [u8; CHECK_BYTES],
    control: Vec<u8>,
    domain: Vec<u8>,
}

impl Row {
    fn seal(root: &Key, secret: &EpochSecret, control: &Key, domain: &Key, env: &Env) -> Self {
        let wrapping = wrapping_key(ROW_VERSION, root, secret);
        Self {
            version: ROW_VERSION,
            epoch: secret.epoch,
            check: check_value(root),
            control: wrapping.wrap(control, &row_aad("control", secret.epoch), env),
            domain: wrapping.wrap(domain, &row_aad("domain", secret.epoch), env),
        }
    }

    fn open(&self, root: &Key, secret: &EpochSecret, file: &str) -> Result<(Key, Key), KeyRingError> {
        let wrapping = wrapping_key(self.version, root, secret);
        let open = |wrapped: &[u8], what| wrapping.unwrap(wrapped, &row_aad(what, secret.epoch));
        match (open(&self.control, "control"), open(&self.domain, "domain")) {
            (Ok(control), Ok(domain)) => Ok((control, domain)),
            _ => Err(KeyRingError::Damaged { file: file.to_owned(), epoch: self.epoch }),
        }
    }

    fn put(&self) -> (Keyspace, Bytes, Bytes) {
        let mut value = vec![self.version];
        value.extend_from_slice(&self.check);
        value.extend_from_slice(&self.control);
        value.extend_from_slice(&self.domain);
        (Keyspace::Records, row_key(self.epoch), value.into())
    }

    fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let epoch = u64::from_be_bytes(key.strip_prefix(ROW_PREFIX)?.try_into().ok()?);
        let ([version], rest) = value.split_first_chunk::<1>()?;
        let (check, rest) = rest.split_first_chunk::<CHECK_BYTES>()?;
        let (control, domain) = rest.split_at_checked(WRAPPED_BYTES)?;
        (matches!(*version, 1 | ROW_VERSION) && domain.len() == WRAPPED_BYTES).then(|| Self {
            version: *version,
            epoch,
            check: *check,
            control: control.to_vec(),
            domain: domain.to_vec(),
        })
    }
}

/// Takes both secrets. In version 1 the epoch secret is the context of a derivation, which leaves a copy of it in memory
/// that nothing wipes; since version 2 both are keys of one.
/// Which bytes of a stored value are ciphertext with its tag, if the key is that of a key ring row: both wrapped keys,
/// without the version and the salt before each.
#[must_use]
pub fn sealed_key_ring_parts(key: &[u8], value: &[u8]) -> Vec<Range<usize>> {
    let Some(row) = Row::parse(key, value) else { return Vec::new() };
    let control = 1 + CHECK_BYTES;
    let domain = control + row.control.len();
    let part = |from: usize, bytes: usize| from + WRAPPED_HEAD_BYTES..from + bytes;
    vec![part(control, row.control.len()), part(domain, row.domain.len())]
}

fn wrapping_key(version: u8, root: &Key, secret: &EpochSecret) -> Key {
    if version == 1 {
        return root.derive("kms/root and epoch", secret.secret.expose());
    }
    let root = root.derive("kms/root half", b"");
    let epoch = secret.secret.derive("kms/epoch half", b"");
    root.joined(&epoch)
}

fn check_root(
    secrets: &RootSecrets,
    rows: &BTreeMap<u64, Row>,
    provider: &dyn RootProvider,
) -> Result<(), KeyRingError> {
    let given = check_value(&secrets.root);
    match rows.values().find(|row| row.check != given) {
        None => Ok(()),
        Some(row) => Err(KeyRingError::WrongRootKey {
            file: provider.root_name(),
            given: hex::encode(given),
            expected: hex::encode(row.check),
        }),
    }
}

fn row_aad(what: &str, epoch: u64) -> Vec<u8> {
    let mut aad = format!("kms/keyring/{what}/").into_bytes();
    aad.extend_from_slice(&epoch.to_be_bytes());
    aad
}

fn row_key(epoch: u64) -> Bytes {
    let mut key = ROW_PREFIX.to_vec();
    key.extend_from_slice(&epoch.to_be_bytes());
    key.into()
}

async fn rows(shard: &Arc<dyn Shard>) -> Result<BTreeMap<u64, Row>, KeyRingError> {
    let mut rows = BTreeMap::new();
    let page = shard.scan(Scan::prefix(Keyspace::Records, ROW_PREFIX)).await?;
    for (key, value) in page.items {
        let row = Row::parse(&key, &value).ok_or_else(|| StorageError::Damaged {
            path: "the control shard".to_owned(),
            what: "a key ring row is not readable by this version".to_owned(),
            cure: "restore the data directory from a copy, or start the version that wrote it".to_owned(),
        })?;
        rows.insert(row.epoch, row);
    }
    Ok(rows)
}

async fn write(
    shard: &Arc<dyn Shard>,
    env: &Env,
    puts: Vec<(Keyspace, Bytes, Bytes)>,
    deletes: Vec<Bytes>,
) -> Result<(), KeyRingError> {
    let mut batch = Batch::new(u128::from_be_bytes(env.random()));
    batch.puts = puts;
    batch.deletes = deletes.into_iter().map(|key| (Keyspace::Records, key)).collect();
    // A few hundred bytes on the way to an erasure, which frees space.
    batch.may_use_reserve = true;
    shard.commit(batch).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use storage::memory::Memory;

    use super::*;
    use crate::root::FileProvider;

    /// docs/on-disk-format.md, "Key ring": a row of version 1 is read, and the next move writes version 2.
    #[tokio::test]
    async fn a_row_of_version_1_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let (env, _simulation) = Env::simulated(31);
        let files = FileProvider::new(directory.path().join("root.key"), directory.path().join("epoch.secret"));
        files.create(&env).unwrap();
        let provider: Arc<dyn RootProvider> = Arc::new(files);
        let (shard, _) = Memory::new().open();
        let secrets = provider.load().unwrap();
        let (control, domain) = (Key::random(&env), Key::random(&env));
        let wrapping = wrapping_key(1, &secrets.root, &secrets.current);
        let old = Row {
            version: 1,
            epoch: 1,
            check: check_value(&secrets.root),
            control: wrapping.wrap(&control, &row_aad("control", 1), &env),
            domain: wrapping.wrap(&domain, &row_aad("domain", 1), &env),
        };
        write(&shard, &env, vec![old.put()], Vec::new()).await.unwrap();
        let ring = KeyRing::open(shard.clone(), provider.clone(), env.clone()).await.unwrap();
        let wrapped = ring.wrap_key(&Key::random(&env), b"aad");
        ring.begin_move().await.unwrap();
        assert!(ring.unwrap_key(&wrapped, b"aad").is_ok());
        ring.finish_move().await.unwrap();
        let versions: Vec<u8> = rows(&shard).await.unwrap().values().map(|row| row.version).collect();
        assert_eq!(versions, [ROW_VERSION]);
        let again = KeyRing::open(shard, provider, env).await.unwrap();
        assert_eq!(again.records_key().expose(), ring.records_key().expose());
    }
}
