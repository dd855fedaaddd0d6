//! CancelKeyDeletion: end the waiting period; the KMS key is disabled then. KMS API, CancelKeyDeletion.

use aws_wire::CallContext;

use super::enable_key::change_state;
use crate::record::{KeyRecord, KeyState};
use crate::state_table::Action;
use crate::{Kms, KmsError, model};

/// CancelKeyDeletion.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::CancelKeyDeletionRequest,
) -> Result<model::CancelKeyDeletionResponse, KmsError> {
    let to = |_: &KeyRecord| KeyState::Disabled;
    let action = (Action::CancelKeyDeletion, "CancelKeyDeletion");
    let key = change_state(kms, cx, &input.key_id, action, to).await?;
    Ok(model::CancelKeyDeletionResponse { key_id: Some(key.arn()) })
}
