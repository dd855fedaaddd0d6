//! ListUserTags: shows the tags of a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListUserTagsRequest;
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
    input: ListUserTagsRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let user = target::principal(state, cx, Kind::User, &input.user_name)?;
        let all = user.tags.iter().map(|(key, value)| (key.clone(), tags::member(key, value)));
        Page { scope: "ListUserTags", marker: input.marker.as_deref(), items_max: input.max_items }.of("Tags", all)
    })
}
