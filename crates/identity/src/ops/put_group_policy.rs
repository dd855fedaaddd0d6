//! PutGroupPolicy: gives a group an inline policy, or replaces it. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::PutGroupPolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: PutGroupPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let put = |_: &_, group: &mut _| target::put_inline(group, input.policy_name, &input.policy_document);
    target::change(identities, cx, (Kind::Group, &input.group_name), put).await?;
    Ok(Vec::new())
}
