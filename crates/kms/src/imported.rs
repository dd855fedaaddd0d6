//! Imported key material: which of it a KMS key takes, what it is called, and how it goes. KMS developer guide, "Importing
//! key material".
//!
//! A version of such a key outlives its material: the id stays when the material is deleted or expires, and tells whether
//! what is imported again is the same.

use aws_wire::Timestamp;
use crypto::{Key, Prf};

use crate::kms::{Kms, Turn, material_aad};
use crate::managed::DAY_SECONDS;
use crate::observer::Act;
use crate::record::{IdSalt, Imported, KeyRecord, KeyState, MaterialRecord, Origin, Rotated, Seconds, Version};
use crate::state::Edit;
use crate::{KeyChange, KmsError, model, uuid};

/// KMS API, ImportKeyMaterial, `ValidTo`: the farthest date.
const VALID_DAYS_MAX: i64 = 365;

/// What an import says of the material.
pub(crate) struct Said {
    pub(crate) kind: Option<model::ImportType>,
    /// The id that the caller expects.
    pub(crate) id: Option<String>,
    pub(crate) valid_to: Option<Seconds>,
    pub(crate) description: Option<String>,
}

/// When material of these terms expires, if ever. KMS API, ImportKeyMaterial, `ExpirationModel` and `ValidTo`.
pub(crate) fn valid_to(
    model: Option<model::ExpirationModelType>,
    date: Option<Timestamp>,
    now: Seconds,
) -> Result<Option<Seconds>, KmsError> {
    use model::ExpirationModelType as Model;
    let invalid = |text: String| Err(KmsError::Validation(text));
    match (model.unwrap_or(Model::KeyMaterialExpires), date.map(Timestamp::seconds)) {
        (Model::KeyMaterialDoesNotExpire, None) => Ok(None),
        (Model::KeyMaterialDoesNotExpire, Some(_)) => {
            invalid("You cannot specify ValidTo when ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE.".to_owned())
        }
        (Model::KeyMaterialExpires, None) => {
            invalid("You must specify ValidTo when ExpirationModel is KEY_MATERIAL_EXPIRES, its default.".to_owned())
        }
        (Model::KeyMaterialExpires, Some(date)) if date <= now => invalid("ValidTo must be in the future.".to_owned()),
        (Model::KeyMaterialExpires, Some(date)) if date > now.saturating_add(VALID_DAYS_MAX * DAY_SECONDS) => {
            invalid(format!("ValidTo must be within {VALID_DAYS_MAX} days."))
        }
        (Model::KeyMaterialExpires, Some(date)) => Ok(Some(date)),
    }
}

/// Imports are for keys that were made for them.
pub(crate) fn check_origin(key: &KeyRecord) -> Result<(), KmsError> {
    if key.origin == Origin::External { Ok(()) } else { Err(wrong_origin(key)) }
}

/// UnsupportedOperationException: the action is not for keys of this origin.
pub(crate) fn wrong_origin(key: &KeyRecord) -> KmsError {
    KmsError::Unsupported(format!(
        "{} origin is {} which is not valid for this operation.",
        key.arn(),
        key.origin.name().as_str()
    ))
}

/// Whether every version has its material: until then nothing is encrypted or decrypted.
pub(crate) fn is_complete(material: &MaterialRecord, now: Seconds) -> bool {
    !material.versions.is_empty() && material.versions.iter().all(|version| version.is_there(now))
}

/// KeyMetadata, `ExpirationModel` and `ValidTo`: the earliest date of what is imported; none where nothing is.
pub(crate) fn expiry(material: &MaterialRecord, now: Seconds) -> Option<(model::ExpirationModelType, Option<Seconds>)> {
    let there = material.versions.iter().filter(|version| version.is_there(now));
    let dates: Vec<Option<Seconds>> = there.filter_map(|version| Some(version.imported.as_ref()?.valid_to)).collect();
    let earliest = dates.iter().flatten().min().copied();
    (!dates.is_empty()).then(|| (model_of(earliest), earliest))
}

/// The API's name for having such a date, or none.
pub(crate) fn model_of(valid_to: Option<Seconds>) -> model::ExpirationModelType {
    match valid_to {
        Some(_) => model::ExpirationModelType::KeyMaterialExpires,
        None => model::ExpirationModelType::KeyMaterialDoesNotExpire,
    }
}

/// What material is called under a key: without the salt, which only the sealed records have, the id tells nothing of it.
fn id_of(key: &KeyRecord, salt: &IdSalt, material: &Key) -> Result<String, KmsError> {
    let damaged = || KmsError::Damaged(format!("{}: its record is malformed", key.arn()));
    let prf = Prf::new(Key::take(&mut salt.0.clone()).map_err(|_| damaged())?);
    let tag = uuid::to_bytes(&key.id).ok_or_else(damaged)?;
    Ok(hex::encode(prf.mac32_of(&[&tag, material.expose()])))
}

/// The state of a key that is not used otherwise, after its material changed.
fn state_after(key: &KeyRecord, material: &MaterialRecord, now: Seconds) -> KeyState {
    match (key.state, is_complete(material, now)) {
        (waiting @ KeyState::PendingDeletion { .. }, _) => waiting,
        (KeyState::PendingImport, true) => KeyState::Enabled,
        (state, true) => state,
        (_, false) => KeyState::PendingImport,
    }
}

impl Kms {
    /// The material of a new key that waits for an import.
    pub(crate) fn no_material_yet(&self, key: &KeyRecord) -> MaterialRecord {
        let salt = Some(IdSalt(self.env().random::<32>().to_vec()));
        MaterialRecord { key: key.id.clone(), versions: Vec::new(), pending: None, salt }
    }

    pub(crate) fn material_of(&self, key: &KeyRecord) -> Result<std::sync::Arc<MaterialRecord>, KmsError> {
        let material = self.read(|state| state.material.get(&key.id).cloned());
        material.ok_or_else(|| KmsError::Damaged(format!("{}: it has no material", key.arn())))
    }

    /// Takes material for a key; its id. The first is in use at once, other new material when the key is rotated.
    pub(crate) async fn import(
        &self,
        turn: &Turn,
        key: &KeyRecord,
        material: &Key,
        said: Said,
    ) -> Result<String, KmsError> {
        let now = self.now();
        let mut record = (*self.material_of(key)?).clone();
        let salt = record.salt.clone();
        let salt = salt.ok_or_else(|| KmsError::Damaged(format!("{}: its record is malformed", key.arn())))?;
        let id = id_of(key, &salt, material)?;
        let wrapped = Some(self.ring().wrap_key(material, &material_aad(key, &id)));
        let mut edits = Vec::new();
        if is_new(key, &record, &id, &said, now)? {
            let imported = Some(Imported { valid_to: said.valid_to, description: said.description });
            let version = Version { id: id.clone(), created: now, wrapped, rotated: None, imported };
            if record.versions.is_empty() {
                record.versions.push(version);
            } else if record.pending.replace(version).is_some() {
                // What it takes the place of had expired and was not yet erased.
                edits.push(self.erasure_edit());
            }
        } else if let Some(version) = record.all_mut().find(|version| version.id == id) {
            let before = version.imported.take().unwrap_or_default();
            let description = said.description.or(before.description);
            version.imported = Some(Imported { valid_to: said.valid_to, description });
            version.wrapped = wrapped;
        }
        let state = state_after(key, &record, now);
        // One that expired goes on waiting for the clock if others are missing still.
        let before_expiry = key.before_expiry.filter(|_| state == KeyState::PendingImport);
        edits.extend([Edit::PutMaterial(record), Edit::PutKey(KeyRecord { state, before_expiry, ..key.clone() })]);
        turn.write_and_tell(edits, key, KeyChange::State).await?;
        Ok(id)
    }

    /// Deletes imported material: the one of this id or the current one. Its id; none if there was none ever. The bytes are
    /// beyond recovery when the epoch has moved on.
    pub(crate) async fn delete_import(
        &self,
        turn: &Turn,
        key: &KeyRecord,
        id: Option<&str>,
    ) -> Result<Option<String>, KmsError> {
        let mut record = (*self.material_of(key)?).clone();
        let current = record.versions.last().map(|version| version.id.clone());
        let Some(id) = id.map(str::to_owned).or(current) else { return Ok(None) };
        if record.pending.as_ref().is_some_and(|pending| pending.id == id) {
            // It never was in use: nothing depends on it, and nothing is left of it.
            record.pending = None;
        } else {
            let version = record.versions.iter_mut().find(|version| version.id == id);
            let version = version.ok_or_else(|| {
                KmsError::NotFound(format!("Key material {id} is not associated with the KMS key {}.", key.arn()))
            })?;
            if version.wrapped.is_none() {
                return Ok(Some(id));
            }
            forget(version);
        }
        self.write_without(turn, key, record).await?;
        Ok(Some(id))
    }

    /// The record of a key some of whose material is gone, the key's state with it, and the note that it is to be erased.
    async fn write_without(&self, turn: &Turn, key: &KeyRecord, record: MaterialRecord) -> Result<(), KmsError> {
        let state = state_after(key, &record, self.now());
        let changed = KeyRecord { state, before_expiry: None, ..key.clone() };
        let edits = vec![self.erasure_edit(), Edit::PutMaterial(record), Edit::PutKey(changed)];
        turn.write_and_tell(edits, key, KeyChange::State).await
    }

    /// Makes the material that waits for it the current one.
    pub(crate) async fn rotate_to_import(&self, turn: &Turn, key: &KeyRecord) -> Result<(), KmsError> {
        let now = self.now();
        let mut record = (*self.material_of(key)?).clone();
        let Some(mut version) = record.pending.take().filter(|version| version.is_there(now)) else {
            return Err(KmsError::MaterialState(format!(
                "{} has no key material in the state PENDING_ROTATION: import new key material first.",
                key.arn()
            )));
        };
        version.rotated = Some(Rotated::OnDemand);
        version.created = now;
        record.versions.push(version);
        self.observed(Act::on("RotateKey", key), turn.write(vec![Edit::PutMaterial(record)])).await?;
        tracing::info!(key = %key.arn(), "rotated the KMS key to imported material");
        Ok(())
    }

    /// What the day does to imported material. When it has come by the time of day the key is out of use at once; the
    /// bytes go when that has been so for a while by the clock that nobody sets, and if the time of day is set right before,
    /// the key is as it was.
    pub(crate) async fn expire_imports(&self, key: &KeyRecord) -> Result<(), KmsError> {
        let mark = format!("{}/material", key.id);
        let look = |key: &KeyRecord| {
            let now = self.now();
            let material = self.read(|state| state.material.get(&key.id).cloned());
            material.map(|material| (due(&material, now), is_complete(&material, now)))
        };
        let Some((due, complete)) = look(key) else {
            // Deleted since.
            self.overdue().lock().remove(&mark);
            return Ok(());
        };
        if !due {
            self.overdue().lock().remove(&mark);
        }
        let in_use = matches!(key.state, KeyState::Enabled | KeyState::Disabled);
        if due && in_use && !complete {
            self.change_by_time("ExpireKeyMaterial", key, |key| KeyRecord {
                state: KeyState::PendingImport,
                before_expiry: Some(key.state),
                ..key.clone()
            })
            .await?;
        } else if !due && let Some(before) = key.before_expiry {
            let state = if complete && key.state == KeyState::PendingImport { before } else { key.state };
            let back = |key: &KeyRecord| KeyRecord { state, before_expiry: None, ..key.clone() };
            self.change_by_time("RestoreKeyMaterial", key, back).await?;
        }
        if !due || !self.is_still_due(&mark, key) {
            return Ok(());
        }
        self.delete_expired(&key.id).await?;
        self.overdue().lock().remove(&mark);
        Ok(())
    }

    async fn change_by_time(
        &self,
        act: &'static str,
        seen: &KeyRecord,
        to: impl FnOnce(&KeyRecord) -> KeyRecord,
    ) -> Result<(), KmsError> {
        let turn = self.turn().await;
        let key = self.read(|state| state.keys.get(&seen.id).cloned());
        // Changed between look and turn: the next round looks again.
        let Some(key) = key.filter(|key| **key == *seen) else { return Ok(()) };
        let edits = vec![Edit::PutKey(to(&key))];
        self.observed(Act::on(act, &key), turn.write_and_tell(edits, &key, KeyChange::State)).await?;
        tracing::warn!(key = %key.arn(), act, "the date of imported key material decides whether the KMS key is used");
        Ok(())
    }

    async fn delete_expired(&self, id: &str) -> Result<(), KmsError> {
        let turn = self.turn().await;
        let now = self.now();
        let Some(key) = self.read(|state| state.keys.get(id).cloned()) else { return Ok(()) };
        let mut record = (*self.material_of(&key)?).clone();
        if !due(&record, now) {
            return Ok(());
        }
        record.versions.iter_mut().filter(|version| version.is_expired(now)).for_each(forget);
        record.pending = record.pending.filter(|version| !version.is_expired(now));
        let act = Act::on("DeleteExpiredKeyMaterial", &key);
        self.observed(act, self.write_without(&turn, &key, record)).await?;
        tracing::warn!(key = %key.arn(), "imported key material expired and is deleted; the same may be imported again");
        Ok(())
    }
}

/// Whether there are bytes whose day has come.
fn due(material: &MaterialRecord, now: Seconds) -> bool {
    material.all().any(|version| version.wrapped.is_some() && version.is_expired(now))
}

/// Takes the material out of its version. The id and the description stay.
fn forget(version: &mut Version) {
    version.wrapped = None;
    if let Some(imported) = &mut version.imported {
        imported.valid_to = None;
    }
}

/// Whether it is new material that is brought, as it must be or may be. KMS API, ImportKeyMaterial, `ImportType`.
fn is_new(key: &KeyRecord, record: &MaterialRecord, id: &str, said: &Said, now: Seconds) -> Result<bool, KmsError> {
    use model::ImportType as Kind;
    let first = record.versions.is_empty();
    let incorrect = |text: &str| Err(KmsError::IncorrectKeyMaterial(format!("{text} {}.", key.arn())));
    let known = record.all().any(|version| version.id == id);
    match said.kind.unwrap_or(if first { Kind::NewKeyMaterial } else { Kind::ExistingKeyMaterial }) {
        Kind::NewKeyMaterial if said.id.is_some() => Err(KmsError::Validation(
            "You cannot specify a KeyMaterialId when ImportType is NEW_KEY_MATERIAL.".to_owned(),
        )),
        Kind::NewKeyMaterial if known => incorrect("The key material is associated already with the KMS key"),
        Kind::NewKeyMaterial if record.pending.as_ref().is_some_and(|pending| pending.is_there(now)) => {
            Err(KmsError::MaterialState(format!(
                "{} has key material in the state PENDING_ROTATION: rotate the KMS key, or delete that key material, first.",
                key.arn()
            )))
        }
        Kind::NewKeyMaterial => Ok(true),
        Kind::ExistingKeyMaterial if said.id.as_ref().is_some_and(|expected| expected != id) => {
            incorrect("The key material is not the one of the KeyMaterialId in the request for the KMS key")
        }
        Kind::ExistingKeyMaterial if !known => {
            incorrect("The key material is not one that was imported before into the KMS key")
        }
        Kind::ExistingKeyMaterial => Ok(false),
    }
}
