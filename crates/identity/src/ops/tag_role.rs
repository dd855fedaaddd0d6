//! TagRole: tags a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::TagRoleRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(identities: &Identities, cx: &CallContext, input: TagRoleRequest) -> Result<Vec<Xml>, IdentityError> {
    let tag = |_: &_, role: &mut Principal| {
        role.tags = tags::with(&role.tags, input.tags.into_iter().map(|tag| (tag.key, tag.value)))?;
        Ok(())
    };
    target::change(identities, cx, (Kind::Role, &input.role_name), tag).await?;
    Ok(Vec::new())
}
