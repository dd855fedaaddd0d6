//! PutRolePermissionsBoundary: bounds what a role may be permitted. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::PutRolePermissionsBoundaryRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: PutRolePermissionsBoundaryRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let put = |state: &_, role: &mut Principal| {
        target::attachable(state, cx, &input.permissions_boundary)?;
        role.boundary = Some(input.permissions_boundary);
        Ok(())
    };
    target::change(identities, cx, (Kind::Role, &input.role_name), put).await?;
    Ok(Vec::new())
}
