//! DisableKeyRotation: no more versions by themselves; those that are there stay. KMS API, DisableKeyRotation.

use aws_wire::CallContext;
use policy::Conditions;

use super::enable_key_rotation::change;
use crate::record::Rotation;
use crate::state_table::Action;
use crate::{Kms, KmsError, model};

/// DisableKeyRotation.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::DisableKeyRotationRequest) -> Result<(), KmsError> {
    let action = (Action::DisableKeyRotation, "DisableKeyRotation");
    let to = |now| Rotation { enabled: false, ..now };
    change(kms, cx, &input.key_id, action, Conditions::of_call(cx), to).await
}
