//! AttachRolePolicy: hangs a managed policy on a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::AttachRolePolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: AttachRolePolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let attach = |state: &_, role: &mut _| target::attach(state, cx, role, input.policy_arn);
    target::change(identities, cx, (Kind::Role, &input.role_name), attach).await?;
    Ok(Vec::new())
}
