//! DeletePolicyVersion: removes a version that is not in force. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::managed::ManagedPolicy;
use crate::model::iam::DeletePolicyVersionRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeletePolicyVersionRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let mut policy = ManagedPolicy::clone(target::own_policy(state, cx, &input.policy_arn)?);
            let number = target::version(&policy, &input.version_id)?;
            if number == policy.default {
                let text = "Cannot delete the default version of a policy.";
                return Err(IdentityError::DeleteConflict(text.to_owned()));
            }
            policy.versions.remove(&number);
            Ok((vec![Update::Policy(policy)], Vec::new()))
        })
        .await
}
