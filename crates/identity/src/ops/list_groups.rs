//! ListGroups: names the groups of the account, by path. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::ListGroupsRequest;
use crate::page::Page;
use crate::principal::Kind;
use crate::{Identities, IdentityError};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: ListGroupsRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let all = state.account(&cx.account).into_iter().flat_map(|account| account.all(Kind::Group));
        let found = all.filter(|group| group.path.starts_with(prefix)).map(|group| {
            (group.name.to_ascii_lowercase(), Xml::Node("member", describe::principal(group, Extent::Listed)))
        });
        Page { scope: "ListGroups", marker: input.marker.as_deref(), items_max: input.max_items }.of("Groups", found)
    })
}
