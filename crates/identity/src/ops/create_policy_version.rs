//! CreatePolicyVersion: gives a managed policy another version. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::managed::{ManagedPolicy, PolicyVersion};
use crate::model::iam::CreatePolicyVersionRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, quota, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: CreatePolicyVersionRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let document = target::managed_document(&input.policy_document)?;
    identities
        .change(|state| {
            let mut policy = ManagedPolicy::clone(target::own_policy(state, cx, &input.policy_arn)?);
            if policy.versions.len() >= quota::VERSIONS {
                return Err(IdentityError::LimitExceeded(format!(
                    "A managed policy can have up to {} versions. Before you create a new version, you must delete an existing \
                     version.",
                    quota::VERSIONS
                )));
            }
            policy.latest = policy.latest.saturating_add(1);
            policy.updated = cx.time;
            policy.versions.insert(policy.latest, PolicyVersion { document, created: cx.time });
            if input.set_as_default.unwrap_or(false) {
                policy.default = policy.latest;
            }
            let shown = vec![Xml::Node("PolicyVersion", describe::version(&policy, policy.latest, Extent::Listed))];
            Ok((vec![Update::Policy(policy)], shown))
        })
        .await
}
