//! UpdateRole: changes what a role is for and how long its sessions may be. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::UpdateRoleRequest;
use crate::principal::{Detail, Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UpdateRoleRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let update = |_: &_, role: &mut Principal| {
        if let Detail::Role(role) = &mut role.detail {
            role.description = input.description.or(role.description.take());
            role.session_seconds_max = input.max_session_duration.unwrap_or(role.session_seconds_max);
        }
        Ok(())
    };
    target::change(identities, cx, (Kind::Role, &input.role_name), update).await?;
    Ok(Vec::new())
}
