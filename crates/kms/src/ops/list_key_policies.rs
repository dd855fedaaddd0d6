//! ListKeyPolicies: the names of a KMS key's policies, of which there is one. KMS API, ListKeyPolicies.

use aws_wire::CallContext;

use super::get_key_policy::POLICY_NAME;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// ListKeyPolicies.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ListKeyPoliciesRequest,
) -> Result<model::ListKeyPoliciesResponse, KmsError> {
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow(cx, &key, "ListKeyPolicies", &EncryptionContext::default())?;
    state_table::check(Action::ListKeyPolicies, &key)?;
    Ok(model::ListKeyPoliciesResponse {
        policy_names: Some(vec![POLICY_NAME.to_owned()]),
        truncated: Some(false),
        next_marker: None,
    })
}
