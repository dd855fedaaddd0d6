//! ListUserPolicies: names the inline policies of a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListUserPoliciesRequest;
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
    input: ListUserPoliciesRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let user = target::principal(state, cx, Kind::User, &input.user_name)?;
        let names = user.inline.keys().map(|name| (name.clone(), Xml::Text("member", name.clone())));
        Page { scope: "ListUserPolicies", marker: input.marker.as_deref(), items_max: input.max_items }
            .of("PolicyNames", names)
    })
}
