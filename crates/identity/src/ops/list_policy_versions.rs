//! ListPolicyVersions: names the versions of a managed policy. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::ListPolicyVersionsRequest;
use crate::page::Page;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: ListPolicyVersionsRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let policy = target::policy(state, cx, &input.policy_arn)?;
        // The newest first; keys that grow as the numbers fall.
        let versions = policy.versions.keys().rev().map(|number| {
            let key = format!("{:010}", u32::MAX - number);
            (key, Xml::Node("member", describe::version(policy, *number, Extent::Listed)))
        });
        let page = Page { scope: "ListPolicyVersions", marker: input.marker.as_deref(), items_max: input.max_items };
        page.of("Versions", versions)
    })
}
