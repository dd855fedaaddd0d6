//! SimulatePrincipalPolicy: what hangs on a user, group or role, and what that would come to. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::exclusion::Exclusion;
use crate::model::iam::SimulatePrincipalPolicyRequest;
use crate::simulate::{self, Asked};
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: SimulatePrincipalPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let excluded = Exclusion::read(input.policy_exclusion_list.as_deref())?;
    let (source, mut gathered) = target::policy_source(identities, cx, &input.policy_source_arn, &excluded)?;
    gathered.add(input.policy_input_list.as_deref().unwrap_or_default())?;
    gathered.bound_by(input.permissions_boundary_policy_input_list.as_deref())?;
    gathered.on_resources(input.resource_policy.as_deref())?;
    simulate::answer(&Asked {
        scope: "SimulatePrincipalPolicy",
        caller: simulate::caller(input.caller_arn.as_deref(), &source, cx)?,
        gathered,
        actions: &input.action_names,
        resources: input.resource_arns.as_deref(),
        owner: input.resource_owner.as_deref(),
        handling: input.resource_handling_option.as_deref(),
        context: input.context_entries.as_deref(),
        marker: input.marker.as_deref(),
        items_max: input.max_items,
    })
}
