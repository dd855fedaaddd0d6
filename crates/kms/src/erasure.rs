//! What time does to KMS keys: deletions fall due, services' keys rotate, and after each deletion the epoch moves on, so
//! that no old copy of the data directory brings back what was deleted.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::KmsError;
use crate::custody::write_in_steps;
use crate::keyring::KeyRingError;
use crate::kms::Kms;
use crate::managed::DAY_SECONDS;
use crate::record::{KeyRecord, KeyState, MaterialRecord, Seconds, Version};
use crate::root::RootError;
use crate::state::Edit;

/// Deletions within so many seconds share one move of the epoch.
const SHARED_SECONDS: Seconds = 60;
/// The wall clock may jump, so deadlines are looked at this often whatever they say.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
const AFTER_FAILURE: Duration = Duration::from_secs(10);

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

    /// Does everything that is due now.
    pub async fn run_due(&self) -> Result<(), KmsError> {
        let now = self.now();
        let keys: Vec<_> = self.read(|state| state.keys.values().cloned().collect());
        for key in keys {
            match key.state {
                KeyState::PendingDeletion { deletion } if deletion <= now => self.delete_key(&key.id).await?,
                KeyState::Enabled if key.rotation.enabled && key.rotation.next <= now => self.rotate(&key.id).await?,
                _ => {}
            }
        }
        let erasure = self.read(|state| state.erasure);
        if erasure.is_some_and(|erasure| now >= erasure.since + SHARED_SECONDS || now < erasure.since) {
            self.finish_erasure().await?;
        }
        Ok(())
    }

    fn until_next(&self) -> Duration {
        let now = self.now();
        let next = self.read(|state| {
            let keys = state.keys.values().filter_map(|key| match key.state {
                KeyState::PendingDeletion { deletion } => Some(deletion),
                KeyState::Enabled if key.rotation.enabled => Some(key.rotation.next),
                _ => None,
            });
            keys.chain(state.erasure.map(|erasure| erasure.since + SHARED_SECONDS)).min()
        });
        let wait = next.map_or(LOOK_AGAIN, |next| Duration::from_secs(u64::try_from(next - now).unwrap_or(0)));
        wait.min(LOOK_AGAIN)
    }

    /// Completes the deletion of a KMS key whose time has come: its grants, aliases and material first, itself last, so
    /// that a crash in between finds it still due.
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
        edits.push(Edit::DeleteMaterial(id.to_owned()));
        write_in_steps(&turn, edits).await?;
        turn.write_and_tell(vec![Edit::DeleteKey(id.to_owned())], &key).await?;
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
        let mut material: MaterialRecord = (*material).clone();
        material.versions.push(self.new_version(&key));
        key.rotation.next = now + i64::from(key.rotation.period_days) * DAY_SECONDS;
        tracing::info!(key = %key.arn(), versions = material.versions.len(), "rotated the KMS key");
        turn.write(vec![Edit::PutMaterial(material), Edit::PutKey(key)]).await
    }

    /// Moves to the next epoch: everything that survives is wrapped again, and then the old secret is destroyed. Goes on
    /// where an interrupted move stopped.
    pub(crate) async fn finish_erasure(&self) -> Result<(), KmsError> {
        let turn = self.turn().await;
        match self.ring().begin_move().await {
            Ok(()) => {}
            Err(KeyRingError::Root(cause @ RootError::ReadOnly { .. })) => {
                tracing::warn!(%cause, "a deletion stays logical: an old copy of the data directory can undo it");
                return turn.write(vec![Edit::ClearErasure]).await;
            }
            Err(other) => return Err(other.into()),
        }
        let epoch = self.ring().epoch();
        let edits = self.read(|state| {
            let material = state
                .material
                .values()
                .filter(|material| material.versions.iter().any(|version| version.wrapped.epoch != epoch));
            let mut edits = Vec::new();
            for record in material {
                // Material without its key is what a deletion in progress has left: it is not to survive.
                let Some(key) = state.keys.get(&record.key) else { continue };
                let mut versions = Vec::with_capacity(record.versions.len());
                for version in &record.versions {
                    versions.push(Version { wrapped: self.rewrap_version(key, version)?, ..version.clone() });
                }
                edits.push(Edit::PutMaterial(MaterialRecord { key: record.key.clone(), versions }));
            }
            for record in state.custody.values().filter(|record| record.wrapped.epoch != epoch) {
                edits.push(Edit::PutCustody(self.rewrap_custody(record)?));
            }
            Ok::<_, KmsError>(edits)
        })?;
        write_in_steps(&turn, edits).await?;
        self.ring().finish_move().await?;
        turn.write(vec![Edit::ClearErasure]).await?;
        tracing::info!(epoch, "the epoch moved on; what was deleted before it cannot be brought back");
        Ok(())
    }
}
