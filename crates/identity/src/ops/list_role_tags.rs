//! ListRoleTags: shows the tags of a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListRoleTagsRequest;
use crate::page::Page;
use crate::principal::Kind;
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: ListRoleTagsRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let role = target::principal(state, cx, Kind::Role, &input.role_name)?;
        let all = role.tags.iter().map(|(key, value)| (key.clone(), tags::member(key, value)));
        Page { scope: "ListRoleTags", marker: input.marker.as_deref(), items_max: input.max_items }.of("Tags", all)
    })
}
