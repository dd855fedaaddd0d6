//! GetContextKeysForPrincipalPolicy: which condition context keys the policies of a user, group or role refer to. IAM API,
//! version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::GetContextKeysForPrincipalPolicyRequest;
use crate::{Identities, IdentityError, describe, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetContextKeysForPrincipalPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let (_, mut gathered) = target::policy_source(identities, cx, &input.policy_source_arn, &[])?;
    gathered.add(input.policy_input_list.as_deref().unwrap_or_default())?;
    // A boundary is no identity-based policy.
    gathered.boundary = None;
    Ok(describe::context_keys(gathered.context_keys()))
}
