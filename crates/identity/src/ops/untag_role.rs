//! UntagRole: takes tags off a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::UntagRoleRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UntagRoleRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let untag = |_: &_, role: &mut Principal| {
        role.tags = tags::without(&role.tags, &input.tag_keys);
        Ok(())
    };
    target::change(identities, cx, (Kind::Role, &input.role_name), untag).await?;
    Ok(Vec::new())
}
