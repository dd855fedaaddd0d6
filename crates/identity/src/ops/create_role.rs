//! CreateRole: makes a role with its trust policy. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::CreateRoleRequest;
use crate::principal::{Detail, Role};
use crate::state::Update;
use crate::target::{self, New};
use crate::trust::TrustPolicy;
use crate::{Identities, IdentityError, tags};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: CreateRoleRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let tags = tags::with(&tags::Tags::new(), input.tags.into_iter().flatten().map(|tag| (tag.key, tag.value)))?;
    let detail = Detail::Role(Role {
        trust: TrustPolicy::parse(&input.assume_role_policy_document)?,
        description: input.description,
        session_seconds_max: input.max_session_duration.unwrap_or(3600),
    });
    let new = New { name: input.role_name, path: input.path, boundary: input.permissions_boundary, tags, detail };
    identities
        .change(|state| {
            let role = target::made(state, cx, new, identities)?;
            target::trusted_exist(state, &role)?;
            let shown = vec![Xml::Node("Role", describe::principal(&role, Extent::Whole))];
            Ok((vec![Update::Principal(role)], shown))
        })
        .await
}
