//! GetUserPolicy: shows an inline policy of a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::GetUserPolicyRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, describe, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetUserPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let user = target::principal(state, cx, Kind::User, &input.user_name)?;
        let found = user.inline.get(&input.policy_name);
        let policy = found.ok_or_else(|| target::no_inline(Kind::User, &input.policy_name))?;
        Ok(vec![
            Xml::Text("UserName", user.name.clone()),
            Xml::Text("PolicyName", input.policy_name),
            describe::document("PolicyDocument", policy.text()),
        ])
    })
}
