//! ListRolePolicies: names the inline policies of a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListRolePoliciesRequest;
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
    input: ListRolePoliciesRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let role = target::principal(state, cx, Kind::Role, &input.role_name)?;
        let names = role.inline.keys().map(|name| (name.clone(), Xml::Text("member", name.clone())));
        Page { scope: "ListRolePolicies", marker: input.marker.as_deref(), items_max: input.max_items }
            .of("PolicyNames", names)
    })
}
