//! PutKeyPolicy: another policy for a KMS key. KMS API, PutKeyPolicy.

use aws_wire::CallContext;
use policy::Conditions;

use super::get_key_policy::POLICY_NAME;
use crate::record::KeyRecord;
use crate::resolve::Spelling;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, KeyChange, Kms, KmsError, model, policy_document};

/// PutKeyPolicy.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::PutKeyPolicyRequest) -> Result<(), KmsError> {
    if input.policy_name.as_deref().is_some_and(|name| name != POLICY_NAME) {
        return Err(KmsError::Validation(format!("The only valid name of a key policy is {POLICY_NAME}.")));
    }
    let bypass = input.bypass_policy_lockout_safety_check == Some(true);
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    let facts = Conditions::of_call(cx).with("kms:BypassPolicyLockoutSafetyCheck", bypass.to_string());
    kms.allow_with(cx, &key, "PutKeyPolicy", &EncryptionContext::default(), facts)?;
    let document = policy_document::read(&input.policy)?;
    if !bypass {
        kms.check_lockout(cx, &key, &document)?;
    }
    state_table::check(Action::PutKeyPolicy, &key)?;
    if input.policy == key.policy {
        return Ok(());
    }
    let changed = KeyRecord { policy: input.policy, ..(*key).clone() };
    // Whoever holds a lease may be denied, or allowed, from now on.
    turn.write_and_tell(vec![Edit::PutKey(changed.clone())], &changed, KeyChange::State).await
}
