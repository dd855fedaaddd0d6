//! UntagUser: takes tags off a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::UntagUserRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UntagUserRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let untag = |_: &_, user: &mut Principal| {
        user.tags = tags::without(&user.tags, &input.tag_keys);
        Ok(())
    };
    target::change(identities, cx, (Kind::User, &input.user_name), untag).await?;
    Ok(Vec::new())
}
