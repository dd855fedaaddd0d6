//! SimulatePrincipalPolicy: what hangs on a user, group or role, and what that would come to. IAM API, version 2010-05-08.

use aws_wire::query::Xml;
use aws_wire::{Arn, CallContext, Caller, CallerKind};

use crate::model::iam::SimulatePrincipalPolicyRequest;
use crate::simulate::{self, Asked};
use crate::{Identities, IdentityError, attached};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: SimulatePrincipalPolicyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let source = Arn::parse(&input.policy_source_arn).filter(|arn| arn.account == cx.account);
    let policies = source.as_ref().and_then(|arn| identities.look(|state| attached::of_arn(state, arn)));
    let Some((source, mut policies)) = source.zip(policies) else {
        let text = format!("The entity {} cannot be found.", input.policy_source_arn);
        return Err(IdentityError::NoSuchEntity(text));
    };
    policies
        .identity
        .extend(simulate::given("PolicyInputList", input.policy_input_list.as_deref().unwrap_or_default())?);
    let bounds = input.permissions_boundary_policy_input_list.unwrap_or_default();
    if let Some(bound) = simulate::given("PermissionsBoundaryPolicyInputList", &bounds)?.pop() {
        policies.boundary = Some(bound);
    }
    let arn = input.caller_arn.as_deref().and_then(Arn::parse).unwrap_or(source);
    let caller = Caller { account: arn.account.clone(), arn, kind: CallerKind::User, ..cx.caller.clone() };
    simulate::answer(&Asked {
        scope: "SimulatePrincipalPolicy",
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
