//! ListPolicies: names the managed policies of the account and AWS's own. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::ListPoliciesRequest;
use crate::model::iam::{PolicyScopeType, PolicyUsageType};
use crate::page::Page;
use crate::{Identities, IdentityError};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: ListPoliciesRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let own = state.account(&cx.account).into_iter().flat_map(|account| account.policies().values());
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let mut all: Vec<_> = own
            .chain(state.aws_policies())
            .filter(|policy| match input.scope.unwrap_or(PolicyScopeType::All) {
                PolicyScopeType::All => true,
                PolicyScopeType::Aws => policy.is_aws(),
                PolicyScopeType::Local => !policy.is_aws(),
            })
            .filter(|policy| policy.path.starts_with(prefix))
            .filter(|policy| {
                let (attached, bounded) = state.uses(&cx.account, &policy.arn().to_string());
                match (input.policy_usage_filter, input.only_attached.unwrap_or(false)) {
                    (Some(PolicyUsageType::PermissionsBoundary), _) => !bounded.is_empty(),
                    (Some(PolicyUsageType::PermissionsPolicy), _) | (None, true) => !attached.is_empty(),
                    (None, false) => true,
                }
            })
            .map(|policy| (policy.arn().to_string(), policy))
            .collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let all = all.into_iter().map(|(arn, policy)| {
            (arn, Xml::Node("member", describe::policy(state, &cx.account, policy, Extent::Listed)))
        });
        Page { scope: "ListPolicies", marker: input.marker.as_deref(), items_max: input.max_items }.of("Policies", all)
    })
}
