//! PutUserPolicy: gives a user an inline policy, or replaces it. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::PutUserPolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: PutUserPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let put = |_: &_, user: &mut _| target::put_inline(user, input.policy_name, &input.policy_document);
    target::change(identities, cx, (Kind::User, &input.user_name), put).await?;
    Ok(Vec::new())
}
