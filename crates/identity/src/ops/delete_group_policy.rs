//! DeleteGroupPolicy: takes an inline policy from a group. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteGroupPolicyRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeleteGroupPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let remove = |_: &_, group: &mut Principal| match group.inline.remove(&input.policy_name) {
        Some(_) => Ok(()),
        None => Err(target::no_inline(Kind::Group, &input.policy_name)),
    };
    target::change(identities, cx, (Kind::Group, &input.group_name), remove).await?;
    Ok(Vec::new())
}
