//! DeleteRolePolicy: takes an inline policy from a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteRolePolicyRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeleteRolePolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let remove = |_: &_, role: &mut Principal| match role.inline.remove(&input.policy_name) {
        Some(_) => Ok(()),
        None => Err(target::no_inline(Kind::Role, &input.policy_name)),
    };
    target::change(identities, cx, (Kind::Role, &input.role_name), remove).await?;
    Ok(Vec::new())
}
