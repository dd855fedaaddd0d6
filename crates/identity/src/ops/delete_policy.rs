//! DeletePolicy: removes a managed policy that hangs nowhere and has one version. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeletePolicyRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeletePolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let policy = target::own_policy(state, cx, &input.policy_arn)?;
            let conflict = |text: &str| Err(IdentityError::DeleteConflict(text.to_owned()));
            let (attached, bounded) = state.uses(&cx.account, &input.policy_arn);
            if !attached.is_empty() || !bounded.is_empty() {
                return conflict("Cannot delete a policy attached to entities.");
            }
            if policy.versions.len() > 1 {
                return conflict(
                    "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. \
                     The default version is deleted with the policy.",
                );
            }
            Ok((vec![Update::NoPolicy(policy.clone())], Vec::new()))
        })
        .await
}
