//! CancelKeyDeletion: end the waiting period; the KMS key is disabled then. KMS API, CancelKeyDeletion.

use aws_wire::CallContext;

use super::enable_key::change_state;
use crate::imported::is_complete;
use crate::record::{KeyRecord, KeyState, Origin};
use crate::state_table::Action;
use crate::{Kms, KmsError, model};

/// CancelKeyDeletion.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::CancelKeyDeletionRequest,
) -> Result<model::CancelKeyDeletionResponse, KmsError> {
    // Without all of its imported material a key cannot be enabled.
    let is_there = |key: &KeyRecord| {
        key.origin == Origin::AwsKms || kms.material_of(key).is_ok_and(|all| is_complete(&all, kms.now()))
    };
    let to = |key: &KeyRecord| if is_there(key) { KeyState::Disabled } else { KeyState::PendingImport };
    let action = (Action::CancelKeyDeletion, "CancelKeyDeletion");
    let key = change_state(kms, cx, &input.key_id, action, to).await?;
    Ok(model::CancelKeyDeletionResponse { key_id: Some(key.arn()) })
}
