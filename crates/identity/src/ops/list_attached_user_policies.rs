//! ListAttachedUserPolicies: names the managed policies that hang on a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListAttachedUserPoliciesRequest;
use crate::page::Page;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: ListAttachedUserPoliciesRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let user = target::principal(state, cx, Kind::User, &input.user_name)?;
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let policies = user.attached.iter().filter_map(|arn| state.policy(arn));
        let policies = policies.filter(|policy| policy.path.starts_with(prefix)).map(|policy| {
            let arn = policy.arn().to_string();
            let members = vec![Xml::Text("PolicyName", policy.name.clone()), Xml::Text("PolicyArn", arn.clone())];
            (arn, Xml::Node("member", members))
        });
        let page =
            Page { scope: "ListAttachedUserPolicies", marker: input.marker.as_deref(), items_max: input.max_items };
        page.of("AttachedPolicies", policies)
    })
}
