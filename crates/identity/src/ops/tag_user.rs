//! TagUser: tags a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::TagUserRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(identities: &Identities, cx: &CallContext, input: TagUserRequest) -> Result<Vec<Xml>, IdentityError> {
    let tag = |_: &_, user: &mut Principal| {
        user.tags = tags::with(&user.tags, input.tags.into_iter().map(|tag| (tag.key, tag.value)))?;
        Ok(())
    };
    target::change(identities, cx, (Kind::User, &input.user_name), tag).await?;
    Ok(Vec::new())
}
