//! UpdateUser: gives a user another name or path; its id, and so all that hangs on it, stays. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::UpdateUserRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UpdateUserRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let update = |state: &_, user: &mut Principal| {
        if let Some(name) = input.new_user_name {
            target::name_is_free(state, cx, Kind::User, &name, Some(&user.id))?;
            user.name = name;
        }
        if input.new_path.is_some() {
            user.path = target::path(input.new_path)?;
        }
        Ok(())
    };
    target::change(identities, cx, (Kind::User, &input.user_name), update).await?;
    Ok(Vec::new())
}
