//! UntagPolicy: takes tags off a managed policy. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::managed::ManagedPolicy;
use crate::model::iam::UntagPolicyRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UntagPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let mut policy = ManagedPolicy::clone(target::own_policy(state, cx, &input.policy_arn)?);
            policy.tags = tags::without(&policy.tags, &input.tag_keys);
            Ok((vec![Update::Policy(policy)], Vec::new()))
        })
        .await
}
