//! GetGroupPolicy: shows an inline policy of a group. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::GetGroupPolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, describe, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetGroupPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let group = target::principal(state, cx, Kind::Group, &input.group_name)?;
        let found = group.inline.get(&input.policy_name);
        let policy = found.ok_or_else(|| target::no_inline(Kind::Group, &input.policy_name))?;
        Ok(vec![
            Xml::Text("GroupName", group.name.clone()),
            Xml::Text("PolicyName", input.policy_name),
            describe::document("PolicyDocument", policy.text()),
        ])
    })
}
