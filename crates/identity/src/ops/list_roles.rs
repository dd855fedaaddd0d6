//! ListRoles: names the roles of the account, by path. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::ListRolesRequest;
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
    input: ListRolesRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let all = state.account(&cx.account).into_iter().flat_map(|account| account.all(Kind::Role));
        let found = all.filter(|role| role.path.starts_with(prefix)).map(|role| {
            (role.name.to_ascii_lowercase(), Xml::Node("member", describe::principal(role, Extent::Listed)))
        });
        Page { scope: "ListRoles", marker: input.marker.as_deref(), items_max: input.max_items }.of("Roles", found)
    })
}
