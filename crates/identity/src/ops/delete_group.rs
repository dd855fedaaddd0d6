//! DeleteGroup: removes a group without users and policies. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteGroupRequest;
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
    input: DeleteGroupRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let group = target::principal(state, cx, Kind::Group, &input.group_name)?;
            let account = state.account(&cx.account);
            if account.is_some_and(|account| account.members(&group.id).next().is_some()) {
                let text = "Cannot delete entity, must remove users from group first.";
                return Err(IdentityError::DeleteConflict(text.to_owned()));
            }
            target::deletable(group)?;
            Ok((vec![Update::NoPrincipal(group.clone())], Vec::new()))
        })
        .await
}
