//! AddUserToGroup: puts a user into a group. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::AddUserToGroupRequest;
use crate::principal::{Detail, Kind, Principal};
use crate::state::State;
use crate::{Identities, IdentityError, quota, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: AddUserToGroupRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let add = |state: &State, user: &mut Principal| {
        let group = target::principal(state, cx, Kind::Group, &input.group_name)?;
        if let Detail::User { groups } = &mut user.detail {
            groups.insert(group.id.clone());
            if groups.len() > quota::GROUPS_PER_USER {
                return Err(target::exceeded("GroupsPerUser", quota::GROUPS_PER_USER));
            }
        }
        Ok(())
    };
    target::change(identities, cx, (Kind::User, &input.user_name), add).await?;
    Ok(Vec::new())
}
