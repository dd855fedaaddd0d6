//! DeleteUser: removes a user on whom nothing hangs any more. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteUserRequest;
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
    input: DeleteUserRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let user = target::principal(state, cx, Kind::User, &input.user_name)?;
            let conflict = |text: &str| Err(IdentityError::DeleteConflict(text.to_owned()));
            if !state.keys_of(&cx.account, Some(&user.id)).is_empty() {
                return conflict("Cannot delete entity, must delete access keys first.");
            }
            if user.groups().next().is_some() {
                return conflict("Cannot delete entity, must remove users from group first.");
            }
            target::deletable(user)?;
            Ok((vec![Update::NoPrincipal(user.clone())], Vec::new()))
        })
        .await
}
