//! The service: its state behind one door for reading and one for changing.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use aws_wire::CallContext;
use crypto::{Key, Prf};
use env::{Env, Instant};
use parking_lot::RwLock;
use policy::IdentityPolicies;
use storage::SealedRecords;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, Semaphore, broadcast};
use zeroize::Zeroizing;

use crate::keyring::KeyRing;
use crate::observer::{Act, Observer};
use crate::record::{KeyRecord, MaterialRecord, Rotated, Seconds, Version};
use crate::state::{Edit, State};
use crate::wrapped::{UnwrapError, Wrapped};
use crate::{EncryptionContext, KmsError, blob, material, uuid};

/// How many notices a slow listener may be behind; one that is further behind asks about every key.
const EVENTS_MAX: usize = 1024;

/// The usability of a KMS key may have changed: leases on it should ask again at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNotice {
    /// The KMS key's ARN.
    pub key_arn: String,
    /// What changed, and so whom it concerns.
    pub change: KeyChange,
}

/// What changed about a KMS key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// Its state: everyone who depends on it is concerned.
    State,
    /// A grant was made: who was refused may be allowed now. With an encryption context, only in that context.
    GrantMade(Option<EncryptionContext>),
    /// A grant ended: who was allowed may be refused now. With an encryption context, only in that context.
    GrantEnded(Option<EncryptionContext>),
}

/// The key management service. Cheap to clone.
#[derive(Clone)]
pub struct Kms(Arc<Inner>);

struct Inner {
    env: Env,
    ring: KeyRing,
    tokens: Prf,
    wake: Notify,
    observer: OnceLock<Arc<dyn Observer>>,
    identity_policies: OnceLock<Arc<dyn IdentityPolicies>>,
    overdue: parking_lot::Mutex<HashMap<String, Instant>>,
    records: Arc<SealedRecords>,
    state: RwLock<State>,
    turn: Arc<Mutex<()>>,
    pair_makers: Arc<Semaphore>,
    events: broadcast::Sender<KeyNotice>,
}

/// The right to change state, held by one caller at a time: what was read under it stays true until it is dropped.
pub(crate) struct Turn {
    kms: Kms,
    guard: Arc<OwnedMutexGuard<()>>,
}

impl Turn {
    /// Makes the edits durable, all or none, and then visible. Runs to its end even if the caller goes away.
    pub(crate) async fn write(&self, edits: Vec<Edit>) -> Result<(), KmsError> {
        self.write_then(edits, |_| ()).await
    }

    /// The same, and then tells whoever holds a lease on the KMS key: once the change is durable they are told, whatever
    /// becomes of the caller. A deadline may have come or gone too.
    pub(crate) async fn write_and_tell(
        &self,
        edits: Vec<Edit>,
        key: &KeyRecord,
        change: KeyChange,
    ) -> Result<(), KmsError> {
        let notice = KeyNotice { key_arn: key.arn(), change };
        self.write_then(edits, move |kms| {
            // Nobody listening is fine.
            let _ = kms.0.events.send(notice);
            kms.wake().notify_one();
        })
        .await
    }

    async fn write_then(&self, edits: Vec<Edit>, then: impl FnOnce(&Kms) + Send + 'static) -> Result<(), KmsError> {
        let (kms, guard) = (self.kms.clone(), self.guard.clone());
        let task = tokio::spawn(async move {
            let changes = edits.iter().map(Edit::change).collect::<Result<Vec<_>, _>>()?;
            kms.0.records.commit(changes).await?;
            let mut state = kms.0.state.write();
            for edit in edits {
                edit.apply(&mut state);
            }
            drop(state);
            then(&kms);
            drop(guard);
            Ok(())
        });
        task.await.unwrap_or_else(|stopped| Err(KmsError::Damaged(format!("a write did not finish: {stopped}"))))
    }
}

impl Kms {
    /// Reads all records, and finishes a move to the next epoch that was interrupted.
    pub async fn open(records: Arc<SealedRecords>, ring: KeyRing, env: Env) -> Result<Self, KmsError> {
        let state = State::load(&records).await?;
        let kms = Self(Arc::new(Inner {
            tokens: Prf::new(ring.control_subkey("kms/grant tokens")),
            env,
            ring,
            wake: Notify::new(),
            observer: OnceLock::new(),
            identity_policies: OnceLock::new(),
            overdue: parking_lot::Mutex::default(),
            records,
            state: RwLock::new(state),
            turn: Arc::new(Mutex::new(())),
            pair_makers: material::pair_makers(),
            events: broadcast::Sender::new(EVENTS_MAX),
        }));
        if kms.ring().moving() {
            kms.finish_erasure().await?;
        }
        Ok(kms)
    }

    /// Notices of KMS keys whose usability may have changed. A listener that lags must ask about every key it holds.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<KeyNotice> {
        self.0.events.subscribe()
    }

    /// The key ring, for purposes outside `kms` that need a key of their own.
    #[must_use]
    pub fn key_ring(&self) -> &KeyRing {
        self.ring()
    }

    /// Who writes down what KMS does by itself; set once, before the worker is spawned. Without one nothing is written
    /// down.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        // A second one would find half of what happens: the first stays.
        let _ = self.0.observer.set(observer);
    }

    /// Does something of its own accord, written down before and after.
    pub(crate) async fn observed<T>(
        &self,
        act: Act,
        work: impl Future<Output = Result<T, KmsError>> + Send,
    ) -> Result<T, KmsError> {
        let begun = match self.0.observer.get() {
            Some(observer) => Some(observer.begin(&act).await.map_err(KmsError::Unrecorded)?),
            None => None,
        };
        let outcome = work.await;
        if let Some(begun) = begun {
            begun.finish(outcome.as_ref().map(|_| ()));
        }
        outcome
    }

    /// When each KMS key was first seen to be due for deletion, by the clock that nobody sets.
    pub(crate) fn overdue(&self) -> &parking_lot::Mutex<HashMap<String, Instant>> {
        &self.0.overdue
    }

    pub(crate) fn identity_policies(&self) -> &OnceLock<Arc<dyn IdentityPolicies>> {
        &self.0.identity_policies
    }

    pub(crate) fn env(&self) -> &Env {
        &self.0.env
    }

    pub(crate) fn ring(&self) -> &KeyRing {
        &self.0.ring
    }

    pub(crate) fn records(&self) -> &SealedRecords {
        &self.0.records
    }

    pub(crate) fn tokens(&self) -> &Prf {
        &self.0.tokens
    }

    /// Wakes the worker, or is awaited by it, when a deadline came or went.
    pub(crate) fn wake(&self) -> &Notify {
        &self.0.wake
    }

    /// Places for making key pairs.
    pub(crate) fn pair_makers(&self) -> Arc<Semaphore> {
        self.0.pair_makers.clone()
    }

    pub(crate) fn now(&self) -> Seconds {
        self.env().wall().seconds
    }

    /// Waits for the right to change state.
    pub(crate) async fn turn(&self) -> Turn {
        Turn { kms: self.clone(), guard: Arc::new(self.0.turn.clone().lock_owned().await) }
    }

    /// A look at the state. Keep it short: no waiting inside.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.read())
    }

    /// Fresh material for a KMS key.
    pub(crate) fn new_version(&self, key: &KeyRecord, rotated: Option<Rotated>) -> Version {
        let id = hex::encode(self.env().random::<32>());
        let wrapped = self.ring().wrap_key(&Key::random(self.env()), &material_aad(key, &id));
        Version { id, created: self.now(), wrapped: Some(wrapped), rotated, imported: None }
    }

    /// Encrypts under the newest version of a KMS key.
    pub(crate) fn encrypt_under(
        &self,
        key: &KeyRecord,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<(Vec<u8>, String), KmsError> {
        self.with_version(
            key,
            |material| material.versions.last().cloned(),
            |version, material| {
                let tags = (uuid::to_bytes(&key.id), version_tag(&version.id));
                let (Some(key_tag), Some(version_tag)) = tags else {
                    return Err(KmsError::Damaged(format!("{}: malformed id", key.arn())));
                };
                let sealed = blob::seal(&key_tag, &version_tag, material, context, plaintext, self.env());
                Ok((sealed, version.id.clone()))
            },
        )
    }

    /// Decrypts with the version that the blob names.
    pub(crate) fn decrypt_with(
        &self,
        key: &KeyRecord,
        parsed: &blob::Blob<'_>,
        context: &EncryptionContext,
    ) -> Result<(Zeroizing<Vec<u8>>, String), KmsError> {
        self.with_version(
            key,
            |material| {
                let named = |version: &&Version| version_tag(&version.id) == Some(parsed.version);
                material.versions.iter().find(named).cloned()
            },
            |version, material| Ok((parsed.open(material, context)?, version.id.clone())),
        )
    }

    /// Unwraps a version and works with it. Where the epoch moved on between look and unwrap, it looks again.
    fn with_version<T>(
        &self,
        key: &KeyRecord,
        choose: impl Fn(&MaterialRecord) -> Option<Version>,
        work: impl Fn(&Version, &Key) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        for _ in 0..3 {
            let material = self.read(|state| state.material.get(&key.id).cloned());
            // A key goes together with its material, so this is damage and not a wrong ciphertext.
            let material = material.ok_or_else(|| KmsError::Damaged(format!("{}: it has no material", key.arn())))?;
            let version = choose(&material).ok_or(KmsError::InvalidCiphertext)?;
            // Imported material may have been deleted since the key's state was looked at.
            let wrapped = version.wrapped.as_ref().ok_or_else(|| KmsError::PendingImport(key.arn()))?;
            match self.ring().unwrap_key(wrapped, &material_aad(key, &version.id)) {
                Ok(opened) => return work(&version, &opened),
                Err(UnwrapError::EpochGone) => {}
                Err(UnwrapError::OpenFailed) => break,
            }
        }
        Err(KmsError::Damaged(format!("{}: its material does not open", key.arn())))
    }

    /// Wraps a version again under the current epoch; none if there is nothing to wrap.
    pub(crate) fn rewrap_version(&self, key: &KeyRecord, version: &Version) -> Result<Option<Wrapped>, KmsError> {
        let Some(wrapped) = &version.wrapped else { return Ok(None) };
        if !key.kind.is_symmetric() {
            return self.reseal_version(key, &version.id, wrapped).map(Some);
        }
        let aad = material_aad(key, &version.id);
        let opened = self
            .ring()
            .unwrap_key(wrapped, &aad)
            .map_err(|_| KmsError::Damaged(format!("{}: its material does not open", key.arn())))?;
        Ok(Some(self.ring().wrap_key(&opened, &aad)))
    }
}

/// The account and region a call is about.
pub(crate) fn here(cx: &CallContext) -> (&str, &str) {
    (&cx.account, &cx.region)
}

pub(crate) fn material_aad(key: &KeyRecord, version: &str) -> Vec<u8> {
    format!("kms/material/{}/{}/{}/{version}", key.account, key.region, key.id).into_bytes()
}

/// The first half of a material id.
fn version_tag(id: &str) -> Option<blob::VersionTag> {
    let mut tag = [0; 16];
    hex::decode_to_slice(id.get(..32)?, &mut tag).ok()?;
    Some(tag)
}
