//! UpdateGroup: gives a group another name or path; its id, and so all that hangs on it, stays. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::UpdateGroupRequest;
use crate::principal::{Kind, Principal};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UpdateGroupRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let update = |state: &_, group: &mut Principal| {
        if let Some(name) = input.new_group_name {
            target::name_is_free(state, cx, Kind::Group, &name, Some(&group.id))?;
            group.name = name;
        }
        if input.new_path.is_some() {
            group.path = target::path(input.new_path)?;
        }
        Ok(())
    };
    target::change(identities, cx, (Kind::Group, &input.group_name), update).await?;
    Ok(Vec::new())
}
