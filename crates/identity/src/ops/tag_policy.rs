//! TagPolicy: tags a managed policy. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::managed::ManagedPolicy;
use crate::model::iam::TagPolicyRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: TagPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let mut policy = ManagedPolicy::clone(target::own_policy(state, cx, &input.policy_arn)?);
            policy.tags = tags::with(&policy.tags, input.tags.into_iter().map(|tag| (tag.key, tag.value)))?;
            Ok((vec![Update::Policy(policy)], Vec::new()))
        })
        .await
}
