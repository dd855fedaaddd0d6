//! ListGroupsForUser: names the groups of a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::ListGroupsForUserRequest;
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
    input: ListGroupsForUserRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let user = target::principal(state, cx, Kind::User, &input.user_name)?;
        let all = state.account(&cx.account).into_iter().flat_map(|account| account.all(Kind::Group));
        let groups = all.filter(|group| user.groups().any(|id| *id == group.id)).map(|group| {
            (group.name.to_ascii_lowercase(), Xml::Node("member", describe::principal(group, Extent::Listed)))
        });
        let page = Page { scope: "ListGroupsForUser", marker: input.marker.as_deref(), items_max: input.max_items };
        page.of("Groups", groups)
    })
}
