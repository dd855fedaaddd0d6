//! DeleteUserPolicy: takes an inline policy from a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteUserPolicyRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeleteUserPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let remove = |_: &_, user: &mut Principal| match user.inline.remove(&input.policy_name) {
        Some(_) => Ok(()),
        None => Err(target::no_inline(Kind::User, &input.policy_name)),
    };
    target::change(identities, cx, (Kind::User, &input.user_name), remove).await?;
    Ok(Vec::new())
}
