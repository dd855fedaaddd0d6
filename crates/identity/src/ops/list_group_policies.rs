//! ListGroupPolicies: names the inline policies of a group. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListGroupPoliciesRequest;
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
    input: ListGroupPoliciesRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let group = target::principal(state, cx, Kind::Group, &input.group_name)?;
        let names = group.inline.keys().map(|name| (name.clone(), Xml::Text("member", name.clone())));
        Page { scope: "ListGroupPolicies", marker: input.marker.as_deref(), items_max: input.max_items }
            .of("PolicyNames", names)
    })
}
