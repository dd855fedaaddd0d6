//! DisableKey: stop all use of a KMS key until it is enabled again. KMS API, DisableKey.

use aws_wire::CallContext;

use super::enable_key::change_state;
use crate::record::{KeyRecord, KeyState};
use crate::state_table::Action;
use crate::{Kms, KmsError, model};

/// DisableKey.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::DisableKeyRequest) -> Result<(), KmsError> {
    let to = |_: &KeyRecord| KeyState::Disabled;
    change_state(kms, cx, &input.key_id, (Action::DisableKey, "DisableKey"), to).await.map(|_| ())
}
