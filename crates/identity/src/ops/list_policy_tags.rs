//! ListPolicyTags: shows the tags of a managed policy. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListPolicyTagsRequest;
use crate::page::Page;
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: ListPolicyTagsRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let policy = target::policy(state, cx, &input.policy_arn)?;
        let all = policy.tags.iter().map(|(key, value)| (key.clone(), tags::member(key, value)));
        Page { scope: "ListPolicyTags", marker: input.marker.as_deref(), items_max: input.max_items }.of("Tags", all)
    })
}
