//! DeleteRole: removes a role without policies; its sessions have no permission from then on. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteRoleRequest;
use crate::principal::Kind;
use crate::state::Update;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeleteRoleRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let role = target::principal(state, cx, Kind::Role, &input.role_name)?;
            target::deletable(role)?;
            Ok((vec![Update::NoPrincipal(role.clone())], Vec::new()))
        })
        .await
}
