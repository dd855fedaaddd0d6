//! CreateUser: makes a user. IAM API, version 2010-05-08.

use std::collections::BTreeSet;

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::CreateUserRequest;
use crate::principal::Detail;
use crate::state::Update;
use crate::target::{self, New};
use crate::{Identities, IdentityError, tags};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: CreateUserRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let tags = tags::with(&tags::Tags::new(), input.tags.into_iter().flatten().map(|tag| (tag.key, tag.value)))?;
    let detail = Detail::User { groups: BTreeSet::new() };
    let new = New { name: input.user_name, path: input.path, boundary: input.permissions_boundary, tags, detail };
    identities
        .change(|state| {
            let user = target::made(state, cx, new, identities)?;
            let shown = vec![Xml::Node("User", describe::principal(&user, Extent::Whole))];
            Ok((vec![Update::Principal(user)], shown))
        })
        .await
}
