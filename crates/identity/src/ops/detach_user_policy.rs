//! DetachUserPolicy: takes a managed policy off a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DetachUserPolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DetachUserPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let detach = |_: &_, user: &mut _| target::detach(user, &input.policy_arn);
    target::change(identities, cx, (Kind::User, &input.user_name), detach).await?;
    Ok(Vec::new())
}
