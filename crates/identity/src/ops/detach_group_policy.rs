//! DetachGroupPolicy: takes a managed policy off a group. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DetachGroupPolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DetachGroupPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let detach = |_: &_, group: &mut _| target::detach(group, &input.policy_arn);
    target::change(identities, cx, (Kind::Group, &input.group_name), detach).await?;
    Ok(Vec::new())
}
