//! GetRole: shows a role. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::GetRoleRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(identities: &Identities, cx: &CallContext, input: GetRoleRequest) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let role = target::principal(state, cx, Kind::Role, &input.role_name)?;
        Ok(vec![Xml::Node("Role", describe::principal(role, Extent::Whole))])
    })
}
