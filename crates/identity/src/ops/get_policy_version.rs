//! GetPolicyVersion: shows a version of a managed policy with its document. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::GetPolicyVersionRequest;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetPolicyVersionRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let policy = target::policy(state, cx, &input.policy_arn)?;
        let number = target::version(policy, &input.version_id)?;
        Ok(vec![Xml::Node("PolicyVersion", describe::version(policy, number, Extent::Whole))])
    })
}
