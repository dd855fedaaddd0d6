//! SimulateCustomPolicy: what the given policies would come to. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::gathered::Gathered;
use crate::model::iam::SimulateCustomPolicyRequest;
use crate::simulate::{self, Asked};
use crate::{Identities, IdentityError};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    _identities: &Identities,
    cx: &CallContext,
    input: SimulateCustomPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    if input.ordered_organization_policy_input_list.is_some_and(|levels| !levels.is_empty()) {
        let text = "OrderedOrganizationPolicyInputList: there are no organizations here; leave the parameter out.";
        return Err(IdentityError::InvalidInput(text.to_owned()));
    }
    if input.resource_policy.is_some() && input.caller_arn.is_none() {
        let text = "CallerArn is needed with a ResourcePolicy, whose Principal is compared with it.";
        return Err(IdentityError::InvalidInput(text.to_owned()));
    }
    let mut gathered = Gathered::default();
    gathered.add(&input.policy_input_list)?;
    gathered.bound_by(input.permissions_boundary_policy_input_list.as_deref())?;
    gathered.on_resources(input.resource_policy.as_deref())?;
    simulate::answer(&Asked {
        scope: "SimulateCustomPolicy",
        caller: simulate::caller(input.caller_arn.as_deref(), &cx.caller.arn, cx)?,
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
