//! What happens after an action has answered: `creating` becomes `available`, `deleting` becomes nothing. Each step can
//! come again, so a crash at any point is made good by the next start.

use std::sync::Arc;
use std::time::Duration;

use aws_wire::CallContext;

use crate::control::{Control, run_to_end};
use crate::record::{FileSystem, Lifecycle, MountTarget};
use crate::state::Edit;
use crate::{ControlError, DataKeysError, KeyChoice, KeyPurpose, Scope};

/// Waits between two tries of a step that failed.
pub(crate) const FIRST_WAIT: Duration = Duration::from_millis(200);
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Control {
    /// Goes on with everything that is not at rest and attaches the mount targets. Call once, when the file service can
    /// answer; calls may be at work already. Returns when what a crash left half-made is undone, or could not be and is left to the next start; the
    /// rest goes on by itself.
    pub async fn resume(&self) {
        let (file_systems, targets): (Vec<Arc<FileSystem>>, Vec<Arc<MountTarget>>) = self.read(|state| {
            (state.file_systems.values().cloned().collect(), state.mount_targets.values().cloned().collect())
        });
        for file_system in file_systems {
            match file_system.state {
                // Nobody was told of it, and nobody sees it: one that stays must not keep the others from being served.
                Lifecycle::Preparing if self.was_interrupted(&file_system.id) => {
                    if let Err(cause) = self.undo_preparation(&file_system).await {
                        tracing::error!(file_system = %file_system.id, %cause, "left half-made; the next start undoes it");
                    }
                }
                Lifecycle::Creating | Lifecycle::Deleting => self.drive_file_system(&file_system.id),
                Lifecycle::Preparing | Lifecycle::Available | Lifecycle::Error => {}
            }
        }
        for target in targets {
            self.drive_mount_target(&target.id);
        }
    }

    /// Removes every trace of a file system whose creation was refused or interrupted.
    pub(crate) async fn undo_preparation(&self, file_system: &FileSystem) -> Result<(), ControlError> {
        let scope = Scope { account: &file_system.account, region: &file_system.region };
        self.parts()
            .keys
            .destroy(scope, &file_system.id)
            .await
            .map_err(|cause| ControlError::KeysUnavailable(cause.to_string()))?;
        let turn = self.turn().await;
        turn.write(vec![Edit::DeleteFileSystem(file_system.id.clone())]).await
    }

    /// Brings a file system to rest, in a task of its own.
    pub(crate) fn drive_file_system(&self, id: &str) {
        let (control, id) = (self.clone(), id.to_owned());
        tokio::spawn(async move {
            let lock = control.work().lock_of(&id);
            let _working = lock.lock().await;
            let mut wait = FIRST_WAIT;
            loop {
                match control.step_file_system(&id).await {
                    Ok(true) => break,
                    Ok(false) => wait = FIRST_WAIT,
                    Err(cause) => {
                        tracing::error!(file_system = %id, %cause, "a step of its life cycle failed; it is tried again");
                        control.env().sleep(wait).await;
                        wait = (wait * 2).min(LONGEST_WAIT);
                    }
                }
            }
            if control.read(|state| !state.file_systems.contains_key(&id)) {
                control.work().forget(&id);
            }
        });
    }

    /// One step. True when there is nothing more to do.
    async fn step_file_system(&self, id: &str) -> Result<bool, ControlError> {
        let Some(file_system) = self.read(|state| state.file_systems.get(id).cloned()) else { return Ok(true) };
        match file_system.state {
            Lifecycle::Preparing | Lifecycle::Available | Lifecycle::Error => Ok(true),
            Lifecycle::Creating => {
                self.parts().provision.create(&file_system).await?;
                let turn = self.turn().await;
                let Some(now) = self.read(|state| state.file_systems.get(id).cloned()) else { return Ok(true) };
                if now.state == Lifecycle::Creating {
                    let available = FileSystem { state: Lifecycle::Available, ..(*now).clone() };
                    turn.write(vec![Edit::PutFileSystem(available)]).await?;
                }
                // It may be on its way out already.
                Ok(false)
            }
            Lifecycle::Deleting => {
                // The keys first: when the storage is stubborn, as a failing disk is, it is unreadable all the same.
                let scope = Scope { account: &file_system.account, region: &file_system.region };
                let destroyed = self.parts().keys.destroy(scope, id).await;
                destroyed.map_err(|cause| ControlError::KeysUnavailable(cause.to_string()))?;
                self.parts().provision.destroy(&file_system).await?;
                let turn = self.turn().await;
                let mut edits: Vec<Edit> = self.read(|state| {
                    state.access_points_of(id).map(|point| Edit::DeleteAccessPoint(point.id.clone())).collect()
                });
                // The file system goes last: while it is there, a restart goes on with what is left of it.
                edits.push(Edit::DeleteFileSystem(id.to_owned()));
                for step in edits.chunks(EDITS_IN_STEP) {
                    turn.write(step.to_vec()).await?;
                }
                tracing::info!(file_system = %id, "the file system and its keys are gone");
                Ok(true)
            }
        }
    }

    /// Makes a file system's record and its two data keys, or nothing: what CreateFileSystem does before it answers. One
    /// at a time, so that a token is judged once.
    pub(crate) async fn create(
        &self,
        cx: CallContext,
        draft: FileSystem,
        chosen: Option<String>,
    ) -> Result<FileSystem, ControlError> {
        let control = self.clone();
        run_to_end(async move {
            let _one = control.work().creating.lock().await;
            control.check_new(&draft)?;
            control.turn().await.write(vec![Edit::PutFileSystem(draft.clone())]).await?;
            match control.make_keys(&cx, &draft, chosen.as_deref()).await {
                Ok(made) => Ok(made),
                Err(refused) => {
                    if let Err(cause) = control.undo_preparation(&draft).await {
                        tracing::error!(file_system = %draft.id, %cause, "left half-made; the next start undoes it");
                    }
                    Err(refused)
                }
            }
        })
        .await
    }

    fn check_new(&self, draft: &FileSystem) -> Result<(), ControlError> {
        let (count, same) = self.read(|state| {
            let all = || state.file_systems_of(&draft.account, &draft.region);
            let same = all().find(|other| other.creation_token == draft.creation_token);
            (all().count(), same.map(|same| same.id.clone()))
        });
        match same {
            Some(id) => Err(ControlError::FileSystemAlreadyExists { token: draft.creation_token.clone(), id }),
            None if count >= FILE_SYSTEMS_MAX => Err(ControlError::FileSystemLimitExceeded(FILE_SYSTEMS_MAX)),
            None => Ok(()),
        }
    }

    async fn make_keys(
        &self,
        cx: &CallContext,
        draft: &FileSystem,
        chosen: Option<&str>,
    ) -> Result<FileSystem, ControlError> {
        let refused = |error| match error {
            DataKeysError::Refused(why) => ControlError::KeyRefused(why),
            DataKeysError::Unavailable(why) => ControlError::KeysUnavailable(why),
        };
        let (id, keys) = (draft.id.as_str(), &self.parts().keys);
        let scope = Scope { account: &draft.account, region: &draft.region };
        let choice = chosen.map_or(KeyChoice::Service, KeyChoice::Chosen);
        let data = keys.grant(cx, id, choice).await.map_err(refused)?;
        let metadata = keys.grant(cx, id, KeyChoice::Service).await.map_err(refused)?;
        keys.make(scope, id, KeyPurpose::Data, &data).await.map_err(refused)?;
        keys.make(scope, id, KeyPurpose::Metadata, &metadata).await.map_err(refused)?;
        let made = FileSystem {
            state: Lifecycle::Creating,
            data_grant: Some(data),
            metadata_grant: Some(metadata),
            ..draft.clone()
        };
        let turn = self.turn().await;
        let id = made.id.clone();
        turn.write_then(vec![Edit::PutFileSystem(made.clone())], move |control| control.drive_file_system(&id)).await?;
        Ok(made)
    }
}

/// Edits that fit one commit.
const EDITS_IN_STEP: usize = 500;
/// EFS user guide, "Quotas": file systems of an account and region.
const FILE_SYSTEMS_MAX: usize = 1000;
