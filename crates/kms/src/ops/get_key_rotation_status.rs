//! GetKeyRotationStatus: whether and when a KMS key gets new versions. KMS API, GetKeyRotationStatus.

use aws_wire::CallContext;

use crate::algorithm::check_rotates_by_itself;
use crate::metadata::timestamp;
use crate::record::KeyState;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// GetKeyRotationStatus.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GetKeyRotationStatusRequest,
) -> Result<model::GetKeyRotationStatusResponse, KmsError> {
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow(cx, &key, "GetKeyRotationStatus", &EncryptionContext::default())?;
    check_rotates_by_itself(&key)?;
    state_table::check(Action::GetKeyRotationStatus, &key)?;
    // While the key waits for its deletion the answer is no; it is as before when the deletion is cancelled.
    let waiting = matches!(key.state, KeyState::PendingDeletion { .. });
    let enabled = key.rotation.enabled && !waiting;
    Ok(model::GetKeyRotationStatusResponse {
        key_id: Some(key.arn()),
        key_rotation_enabled: Some(enabled),
        next_rotation_date: enabled.then(|| timestamp(key.rotation.next)),
        on_demand_rotation_start_date: None,
        rotation_period_in_days: enabled.then(|| i32::from(key.rotation.period_days)),
    })
}
