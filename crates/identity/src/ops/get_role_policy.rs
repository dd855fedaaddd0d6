//! GetRolePolicy: shows an inline policy of a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::GetRolePolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, describe, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetRolePolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let role = target::principal(state, cx, Kind::Role, &input.role_name)?;
        let found = role.inline.get(&input.policy_name);
        let policy = found.ok_or_else(|| target::no_inline(Kind::Role, &input.policy_name))?;
        Ok(vec![
            Xml::Text("RoleName", role.name.clone()),
            Xml::Text("PolicyName", input.policy_name),
            describe::document("PolicyDocument", policy.text()),
        ])
    })
}
