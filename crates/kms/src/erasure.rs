//! What time does to KMS keys: deletions fall due, services' keys rotate, and after each deletion the epoch moves on, so
//! that no old copy of the data directory brings back what was deleted.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::custody::{REWRAP_STEP, write_in_steps};
use crate::import::import_key_ends;
use crate::keyring::KeyRingError;
use crate::kms::{Kms, Turn};
use crate::managed::DAY_SECONDS;
use crate::observer::Act;
use crate::record::{CustodyRecord, KeyRecord, KeyState, MaterialRecord, Origin, Rotated, Seconds, Version};
use crate::root::RootError;
use crate::state::Edit;
use crate::{KeyChange, KmsError};

/// Deletions within so many seconds share one move of the epoch.
const SHARED_SECONDS: Seconds = 60;
/// The wall clock may jump, so deadlines are looked at this often whatever they say.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// A deletion that is due must still be so after this, by the clock that nobody sets. AWS takes up to a day more.
const STILL_DUE: Duration = Duration::from_secs(3600);

impl Kms {
    /// Runs the worker until the process ends or the handle is aborted. It begins with what fell due while the server
    /// was down.
    pub fn spawn_worker(&self) -> JoinHandle<()> {
        let kms = self.clone();
        tokio::spawn(async move {
            loop {
                let wait = match kms.run_due().await {
                    Ok(()) => kms.until_next(),
                    Err(cause) => {
                        tracing::error!(%cause, "work on KMS keys that fell due failed; it is tried again");
                        AFTER_FAILURE
                    }
                };
                tokio::select! {
                    () = kms.env().sleep(wait) => {}
                    () = kms.wake().notified() => {}
                }
            }
        })
    }

    /// Does everything that is due now. What fails does not keep the rest from being done; the first failure is told.
    pub async fn run_due(&self) -> Result<(), KmsError> {
        let now = self.now();
        let keys: Vec<_> = self.read(|state| state.keys.values().cloned().collect());
        let mut outcome = Ok(());
        for key in keys {
            let done = match key.state {
                KeyState::PendingDeletion { deletion } if deletion <= now => self.delete_overdue(&key).await,
                KeyState::Enabled if key.rotation.enabled && key.rotation.next <= now => self.rotate(&key.id).await,
                _ => {
                    self.overdue().lock().remove(&key.id);
                    Ok(())
                }
            };
            let done = match key.origin {
                Origin::AwsKms => done,
                Origin::External => done.and(self.expire_imports(&key).await),
            };
            if let Err(cause) = &done {
                tracing::error!(%cause, key = %key.arn(), "work on a KMS key failed; the others go on");
            }
            outcome = outcome.and(done);
        }
        outcome = outcome.and(self.destroy_import_keys().await);
        let erasure = self.read(|state| state.erasure);
        if erasure.is_some_and(|erasure| now >= erasure.since + SHARED_SECONDS || now < erasure.since) {
            outcome = outcome.and(self.finish_erasure().await);
        }
        outcome
    }

    /// Deletes a KMS key that has been due for a while: the time of day decides when it falls due, and a wrong one must
    /// not delete at once what nothing brings back.
    async fn delete_overdue(&self, key: &KeyRecord) -> Result<(), KmsError> {
        if !self.is_still_due(&key.id, key) {
            return Ok(());
        }
        self.delete_key(&key.id).await?;
        self.overdue().lock().remove(&key.id);
        Ok(())
    }

    /// Whether what `mark` names has been due for long enough, by the clock that nobody sets. The first look begins it.
    pub(crate) fn is_still_due(&self, mark: &str, key: &KeyRecord) -> bool {
        let now = self.env().now();
        let since = *self.overdue().lock().entry(mark.to_owned()).or_insert_with(|| {
            tracing::warn!(
                key = %key.arn(),
                minutes = STILL_DUE.as_secs() / 60,
                "a deletion is due, of the KMS key or of material in it; if the clock is right it is done when this time has \
                 passed"
            );
            now
        });
        now.since(since) >= STILL_DUE
    }

    fn until_next(&self) -> Duration {
        let now = self.now();
        let next = self.read(|state| {
            let keys = state.keys.values().filter_map(|key| match key.state {
                // One that is due already is looked at again and again.
                KeyState::PendingDeletion { deletion } => (deletion > now).then_some(deletion),
                KeyState::Enabled if key.rotation.enabled => Some(key.rotation.next),
                _ => None,
            });
            let external = state.keys.values().filter(|key| key.origin == Origin::External);
            let material = external.filter_map(|key| state.material.get(&key.id));
            // Of what is due already the next look comes by itself.
            let imports = material
                .flat_map(|material| material.all().filter_map(|version| version.imported.as_ref()?.valid_to))
                .chain(import_key_ends(state))
                .filter(|date| *date > now);
            keys.chain(imports).chain(state.erasure.map(|erasure| erasure.since + SHARED_SECONDS)).min()
        });
        let wait = next.map_or(LOOK_AGAIN, |next| Duration::from_secs(u64::try_from(next - now).unwrap_or(0)));
        wait.min(LOOK_AGAIN)
    }

    /// Completes the deletion of a KMS key whose time has come: its grants and aliases first, itself and its material last,
    /// so that a crash in between finds it still due.
    async fn delete_key(&self, id: &str) -> Result<(), KmsError> {
        let turn = self.turn().await;
        let now = self.now();
        let Some(key) = self.read(|state| state.keys.get(id).cloned()) else { return Ok(()) };
        // Cancelled between look and turn.
        if !matches!(key.state, KeyState::PendingDeletion { deletion } if deletion <= now) {
            return Ok(());
        }
        let mut edits: Vec<Edit> = self.read(|state| {
            let grants =
                state.grants_of(id).map(|grant| Edit::DeleteGrant { key: id.to_owned(), id: grant.id.clone() });
            grants.chain(state.aliases_of(id).map(|(place, _)| Edit::DeleteAlias(place.clone()))).collect()
        });
        // The note goes first: whatever is gone after a crash is also erased.
        edits.insert(0, self.erasure_edit());
        let act = Act::on("DeleteKey", &key);
        self.observed(act, async {
            write_in_steps(&turn, edits).await?;
            // Together: a key without material would look as if nothing it encrypted were its own.
            let last = vec![Edit::DeleteMaterial(id.to_owned()), Edit::DeleteKey(id.to_owned())];
            turn.write_and_tell(last, &key, KeyChange::State).await
        })
        .await?;
        tracing::warn!(key = %key.arn(), "the KMS key is deleted; what it encrypted cannot be decrypted any more");
        Ok(())
    }

    /// Gives a KMS key a new version; the old ones go on decrypting.
    async fn rotate(&self, id: &str) -> Result<(), KmsError> {
        let turn = self.turn().await;
        let now = self.now();
        let (key, material) = self.read(|state| (state.keys.get(id).cloned(), state.material.get(id).cloned()));
        let (Some(key), Some(material)) = (key, material) else { return Ok(()) };
        if key.state != KeyState::Enabled || !key.rotation.enabled || key.rotation.next > now {
            return Ok(());
        }
        let mut key: KeyRecord = (*key).clone();
        key.rotation.next = now + i64::from(key.rotation.period_days) * DAY_SECONDS;
        self.add_version(&turn, key, &material, Rotated::Automatic).await
    }

    /// The new version and the key's record as it is then, together.
    pub(crate) async fn add_version(
        &self,
        turn: &Turn,
        key: KeyRecord,
        material: &MaterialRecord,
        rotated: Rotated,
    ) -> Result<(), KmsError> {
        let mut material = material.clone();
        material.versions.push(self.new_version(&key, Some(rotated)));
        let (arn, versions) = (key.arn(), material.versions.len());
        let act = Act::on("RotateKey", &key);
        self.observed(act, turn.write(vec![Edit::PutMaterial(material), Edit::PutKey(key)])).await?;
        tracing::info!(key = arn, versions, ?rotated, "rotated the KMS key");
        Ok(())
    }

    /// Moves to the next epoch: everything that survives is wrapped again, and then the old secret is destroyed. Goes on
    /// where an interrupted move stopped.
    pub(crate) async fn finish_erasure(&self) -> Result<(), KmsError> {
        let turn = self.turn().await;
        self.observed(Act { name: "ReplaceEpochSecret", key: None }, self.move_epoch(&turn)).await
    }

    async fn move_epoch(&self, turn: &Turn) -> Result<(), KmsError> {
        match self.ring().begin_move().await {
            Ok(()) => {}
            Err(KeyRingError::Root(cause @ RootError::ReadOnly { .. })) => {
                tracing::warn!(%cause, "a deletion stays logical: an old copy of the data directory can undo it");
                return turn.write(vec![Edit::ClearErasure]).await;
            }
            Err(other) => return Err(other.into()),
        }
        let epoch = self.ring().epoch();
        // The records are shared and nobody else changes them: the work is done without the lock, in steps.
        let (material, custody): (Vec<_>, Vec<_>) = self.read(|state| {
            let is_old = |one: &Version| one.wrapped.as_ref().is_some_and(|wrapped| wrapped.epoch != epoch);
            let old = |material: &&Arc<MaterialRecord>| material.all().any(is_old);
            // Material without its key is what an interrupted deletion of an older version left: it is not to survive.
            let with_key =
                |material: &Arc<MaterialRecord>| Some((state.keys.get(&material.key)?.clone(), material.clone()));
            let material = state.material.values().filter(old).filter_map(with_key);
            let custody = state.custody.values().filter(|record| record.wrapped.epoch != epoch);
            (material.collect(), custody.cloned().collect())
        });
        for step in material.chunks(REWRAP_STEP) {
            let edits = step.iter().map(|(key, record)| self.rewrap_material(key, record)).collect::<Result<_, _>>()?;
            turn.write(edits).await?;
        }
        for step in custody.chunks(REWRAP_STEP) {
            let rewrap = |record: &Arc<CustodyRecord>| self.rewrap_custody(record).map(Edit::PutCustody);
            turn.write(step.iter().map(rewrap).collect::<Result<_, _>>()?).await?;
        }
        self.ring().finish_move().await?;
        turn.write(vec![Edit::ClearErasure]).await?;
        tracing::info!(epoch, "the epoch moved on; what was deleted before it cannot be brought back");
        Ok(())
    }

    fn rewrap_material(&self, key: &KeyRecord, record: &MaterialRecord) -> Result<Edit, KmsError> {
        let mut again = record.clone();
        for version in again.all_mut() {
            version.wrapped = self.rewrap_version(key, version)?;
        }
        Ok(Edit::PutMaterial(again))
    }
}
