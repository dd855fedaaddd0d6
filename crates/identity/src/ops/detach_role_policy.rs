//! DetachRolePolicy: takes a managed policy off a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DetachRolePolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DetachRolePolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let detach = |_: &_, role: &mut _| target::detach(role, &input.policy_arn);
    target::change(identities, cx, (Kind::Role, &input.role_name), detach).await?;
    Ok(Vec::new())
}
