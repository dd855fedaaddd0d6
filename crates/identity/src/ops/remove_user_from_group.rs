//! RemoveUserFromGroup: takes a user out of a group. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::RemoveUserFromGroupRequest;
use crate::principal::{Detail, Kind, Principal};
use crate::state::State;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: RemoveUserFromGroupRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let remove = |state: &State, user: &mut Principal| {
        let group = target::principal(state, cx, Kind::Group, &input.group_name)?;
        let was_in = match &mut user.detail {
            Detail::User { groups } => groups.remove(&group.id),
            Detail::Group | Detail::Role(_) => false,
        };
        if was_in {
            return Ok(());
        }
        let text = format!("User {} is not in the group {}.", input.user_name, input.group_name);
        Err(IdentityError::NoSuchEntity(text))
    };
    target::change(identities, cx, (Kind::User, &input.user_name), remove).await?;
    Ok(Vec::new())
}
