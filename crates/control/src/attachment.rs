//! The life of a mount target: its address is listened on, or tried again for as long as it cannot be, or given up.

use crate::ControlError;
use crate::control::Control;
use crate::lifecycle::{FIRST_WAIT, LONGEST_WAIT};
use crate::record::{Lifecycle, MountTarget};
use crate::state::Edit;

/// What a step left to do.
enum Left {
    Nothing,
    /// The address cannot be listened on now; the reason.
    Attaching(String),
}

impl Control {
    /// Brings a mount target to rest, in a task of its own. One whose address cannot be listened on is in `error` and is
    /// tried again, ever more slowly: the address may come, or whoever has it may go.
    pub(crate) fn drive_mount_target(&self, id: &str) {
        let (control, id) = (self.clone(), id.to_owned());
        tokio::spawn(async move {
            let lock = control.work().lock_of(&id);
            let mut wait = FIRST_WAIT;
            loop {
                // Not held during the wait: a deletion must not wait for the next try.
                let working = lock.lock().await;
                let outcome = control.step_mount_target(&id).await;
                drop(working);
                match outcome {
                    Ok(Left::Nothing) => break,
                    Ok(Left::Attaching(reason)) => control.note_trouble(&id, reason),
                    Err(cause) => {
                        tracing::error!(mount_target = %id, %cause, "a step of its life cycle failed; it is tried again");
                    }
                }
                control.env().sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            control.work().troubles.lock().remove(&id);
            if control.read(|state| !state.mount_targets.contains_key(&id)) {
                control.work().forget(&id);
            }
        });
    }

    /// Why a mount target is in `error`: cause and cure.
    #[must_use]
    pub fn mount_target_trouble(&self, id: &str) -> Option<String> {
        self.work().troubles.lock().get(id).cloned()
    }

    /// One line in the log for each new reason, not for each try.
    fn note_trouble(&self, id: &str, reason: String) {
        let before = self.work().troubles.lock().insert(id.to_owned(), reason.clone());
        if before.as_ref() != Some(&reason) {
            tracing::error!(mount_target = %id, %reason, "no clients are accepted there; it is tried again");
        }
    }

    async fn step_mount_target(&self, id: &str) -> Result<Left, ControlError> {
        let Some(target) = self.read(|state| state.mount_targets.get(id).cloned()) else { return Ok(Left::Nothing) };
        if target.state != Lifecycle::Deleting {
            let (state, left) = match self.parts().network.attach(&target).await {
                Ok(()) => (Lifecycle::Available, Left::Nothing),
                Err(cause) => (Lifecycle::Error, Left::Attaching(cause.to_string())),
            };
            let turn = self.turn().await;
            let Some(now) = self.read(|all| all.mount_targets.get(id).cloned()) else { return Ok(Left::Nothing) };
            if now.state != Lifecycle::Deleting {
                if now.state != state {
                    turn.write(vec![Edit::PutMountTarget(MountTarget { state, ..(*now).clone() })]).await?;
                }
                return Ok(left);
            }
        }
        self.parts().network.detach(&target).await?;
        let turn = self.turn().await;
        turn.write(vec![Edit::DeleteMountTarget(id.to_owned())]).await?;
        Ok(Left::Nothing)
    }
}
