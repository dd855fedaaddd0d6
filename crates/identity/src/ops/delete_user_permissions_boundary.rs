//! DeleteUserPermissionsBoundary: takes the bound off a user. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteUserPermissionsBoundaryRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeleteUserPermissionsBoundaryRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let remove = |_: &_, user: &mut Principal| match user.boundary.take() {
        Some(_) => Ok(()),
        None => Err(IdentityError::NoSuchEntity(format!(
            "User with name {} does not have a permissions boundary.",
            user.name
        ))),
    };
    target::change(identities, cx, (Kind::User, &input.user_name), remove).await?;
    Ok(Vec::new())
}
