//! GetPolicy: shows a managed policy. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::GetPolicyRequest;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let policy = target::policy(state, cx, &input.policy_arn)?;
        Ok(vec![Xml::Node("Policy", describe::policy(state, &cx.account, policy, Extent::Whole))])
    })
}
