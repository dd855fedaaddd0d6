//! UpdateRoleDescription: changes what a role is for. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::UpdateRoleDescriptionRequest;
use crate::principal::{Detail, Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UpdateRoleDescriptionRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let update = |_: &_, role: &mut Principal| {
        if let Detail::Role(role) = &mut role.detail {
            role.description = Some(input.description);
        }
        Ok(())
    };
    target::change(identities, cx, (Kind::Role, &input.role_name), update).await?;
    identities.look(|state| {
        let role = target::principal(state, cx, Kind::Role, &input.role_name)?;
        Ok(vec![Xml::Node("Role", describe::principal(role, Extent::Whole))])
    })
}
