//! GetKeyPolicy: the policy of a KMS key. KMS API, GetKeyPolicy.

use aws_wire::CallContext;

use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// The only name a key policy has.
pub(crate) const POLICY_NAME: &str = "default";

/// GetKeyPolicy.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GetKeyPolicyRequest,
) -> Result<model::GetKeyPolicyResponse, KmsError> {
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow(cx, &key, "GetKeyPolicy", &EncryptionContext::default())?;
    state_table::check(Action::GetKeyPolicy, &key)?;
    if input.policy_name.as_deref().is_some_and(|name| name != POLICY_NAME) {
        return Err(KmsError::NotFound("No such policy exists".to_owned()));
    }
    Ok(model::GetKeyPolicyResponse { policy: Some(key.policy.clone()), policy_name: Some(POLICY_NAME.to_owned()) })
}
