//! PutRolePolicy: gives a role an inline policy, or replaces it. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::PutRolePolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: PutRolePolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let put = |_: &_, role: &mut _| target::put_inline(role, input.policy_name, &input.policy_document);
    target::change(identities, cx, (Kind::Role, &input.role_name), put).await?;
    Ok(Vec::new())
}
