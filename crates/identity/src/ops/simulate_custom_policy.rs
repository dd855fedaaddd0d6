//! SimulateCustomPolicy: what the given policies would come to. IAM API, version 2010-05-08.

use aws_wire::query::Xml;
use aws_wire::{Arn, CallContext, Caller, CallerKind};
use policy::CallerPolicies;

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
    let bounds = input.permissions_boundary_policy_input_list.unwrap_or_default();
    let policies = CallerPolicies {
        identity: simulate::given("PolicyInputList", &input.policy_input_list)?,
        boundary: simulate::given("PermissionsBoundaryPolicyInputList", &bounds)?.pop(),
        session: Vec::new(),
    };
    let arn = input.caller_arn.as_deref().and_then(Arn::parse).unwrap_or_else(|| cx.caller.arn.clone());
    let caller = Caller { account: arn.account.clone(), arn, kind: CallerKind::User, ..cx.caller.clone() };
    simulate::answer(&Asked {
        scope: "SimulateCustomPolicy",
        caller: &caller,
        policies,
        resource_policy: input.resource_policy.as_deref(),
        actions: &input.action_names,
        resources: input.resource_arns.as_deref().unwrap_or_default(),
        context: input.context_entries.as_deref().unwrap_or_default(),
        marker: input.marker.as_deref(),
        items_max: input.max_items,
    })
}
