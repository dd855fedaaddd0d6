//! GetGroup: shows a group and its users. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::GetGroupRequest;
use crate::page::Page;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(identities: &Identities, cx: &CallContext, input: GetGroupRequest) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let group = target::principal(state, cx, Kind::Group, &input.group_name)?;
        let users = state.account(&cx.account).into_iter().flat_map(|account| account.members(&group.id));
        let users = users.map(|user| {
            (user.name.to_ascii_lowercase(), Xml::Node("member", describe::principal(user, Extent::Listed)))
        });
        let page = Page { scope: "GetGroup", marker: input.marker.as_deref(), items_max: input.max_items };
        let mut members = vec![Xml::Node("Group", describe::principal(group, Extent::Whole))];
        members.extend(page.of("Users", users)?);
        Ok(members)
    })
}
