//! ListUsers: names the users of the account, by path. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::ListUsersRequest;
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
    input: ListUsersRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let all = state.account(&cx.account).into_iter().flat_map(|account| account.all(Kind::User));
        let found = all.filter(|user| user.path.starts_with(prefix)).map(|user| {
            (user.name.to_ascii_lowercase(), Xml::Node("member", describe::principal(user, Extent::Listed)))
        });
        Page { scope: "ListUsers", marker: input.marker.as_deref(), items_max: input.max_items }.of("Users", found)
    })
}
