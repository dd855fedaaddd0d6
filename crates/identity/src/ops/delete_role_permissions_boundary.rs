//! DeleteRolePermissionsBoundary: takes the bound off a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteRolePermissionsBoundaryRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeleteRolePermissionsBoundaryRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let remove = |_: &_, role: &mut Principal| match role.boundary.take() {
        Some(_) => Ok(()),
        None => Err(IdentityError::NoSuchEntity(format!(
            "Role with name {} does not have a permissions boundary.",
            role.name
        ))),
    };
    target::change(identities, cx, (Kind::Role, &input.role_name), remove).await?;
    Ok(Vec::new())
}
