//! AttachUserPolicy: hangs a managed policy on a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::AttachUserPolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: AttachUserPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let attach = |state: &_, user: &mut _| target::attach(state, cx, user, input.policy_arn);
    target::change(identities, cx, (Kind::User, &input.user_name), attach).await?;
    Ok(Vec::new())
}
