//! CreateGroup: makes a group. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::CreateGroupRequest;
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
    input: CreateGroupRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let (tags, detail) = (tags::Tags::new(), Detail::Group);
    let new = New { name: input.group_name, path: input.path, boundary: None, tags, detail };
    identities
        .change(|state| {
            let group = target::made(state, cx, new, identities)?;
            let shown = vec![Xml::Node("Group", describe::principal(&group, Extent::Whole))];
            Ok((vec![Update::Principal(group)], shown))
        })
        .await
}
