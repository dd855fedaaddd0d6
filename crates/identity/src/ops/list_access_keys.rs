//! ListAccessKeys: shows the access keys of a user, without secrets. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListAccessKeysRequest;
use crate::page::Page;
use crate::{Identities, IdentityError, describe, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: ListAccessKeysRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let user = target::user_or_caller(state, cx, input.user_name.as_deref())?;
        let name = user.map(|user| user.name.as_str());
        let mut keys = state.keys_of(&cx.account, user.map(|user| user.id.as_str()));
        keys.sort_by(|one, other| one.id.cmp(&other.id));
        let keys = keys.into_iter().map(|key| (key.id.clone(), Xml::Node("member", describe::access_key(key, name))));
        let page = Page { scope: "ListAccessKeys", marker: input.marker.as_deref(), items_max: input.max_items };
        page.of("AccessKeyMetadata", keys)
    })
}
