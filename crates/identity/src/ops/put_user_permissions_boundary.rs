//! PutUserPermissionsBoundary: bounds what a user may be permitted. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::PutUserPermissionsBoundaryRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: PutUserPermissionsBoundaryRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let put = |state: &_, user: &mut Principal| {
        target::attachable(state, cx, &input.permissions_boundary)?;
        user.boundary = Some(input.permissions_boundary);
        Ok(())
    };
    target::change(identities, cx, (Kind::User, &input.user_name), put).await?;
    Ok(Vec::new())
}
