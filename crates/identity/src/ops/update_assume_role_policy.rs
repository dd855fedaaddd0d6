//! UpdateAssumeRolePolicy: replaces a role's trust policy. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::UpdateAssumeRolePolicyRequest;
use crate::principal::{Detail, Kind, Principal};
use crate::state::State;
use crate::trust::TrustPolicy;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UpdateAssumeRolePolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let trust = TrustPolicy::parse(&input.policy_document)?;
    let update = |state: &State, role: &mut Principal| {
        if let Detail::Role(role) = &mut role.detail {
            role.trust = trust;
        }
        target::trusted_exist(state, role)
    };
    target::change(identities, cx, (Kind::Role, &input.role_name), update).await?;
    Ok(Vec::new())
}
