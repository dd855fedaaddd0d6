//! SetDefaultPolicyVersion: puts a version of a managed policy in force. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::managed::ManagedPolicy;
use crate::model::iam::SetDefaultPolicyVersionRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: SetDefaultPolicyVersionRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let mut policy = ManagedPolicy::clone(target::own_policy(state, cx, &input.policy_arn)?);
            policy.default = target::version(&policy, &input.version_id)?;
            Ok((vec![Update::Policy(policy)], Vec::new()))
        })
        .await
}
