//! AttachGroupPolicy: hangs a managed policy on a group. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::AttachGroupPolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: AttachGroupPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let attach = |state: &_, group: &mut _| target::attach(state, cx, group, input.policy_arn);
    target::change(identities, cx, (Kind::Group, &input.group_name), attach).await?;
    Ok(Vec::new())
}
