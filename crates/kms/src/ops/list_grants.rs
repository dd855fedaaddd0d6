//! ListGrants: the grants of a KMS key. KMS API, ListGrants.

use aws_wire::CallContext;

use super::revoke_grant::check_id;
use crate::metadata::timestamp;
use crate::page::{self, Asked, Page};
use crate::record::{GrantRecord, Grantee};
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// ListGrants.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ListGrantsRequest,
) -> Result<model::ListGrantsResponse, KmsError> {
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow_with(cx, &key, "ListGrants", &EncryptionContext::default(), facts::of_grants(cx))?;
    state_table::check(Action::ListGrants, &key)?;
    if let Some(id) = &input.grant_id {
        check_id(id)?;
    }
    let principal = input.grantee_principal.or(input.grantee_service_principal);
    let asked =
        Asked { list: "ListGrants", limit: input.limit, marker: input.marker.as_deref(), default: 50, most: 100 };
    let arn = key.arn();
    let page = kms.read(|state| {
        let wanted = state.grants_of(&key.id).filter(|grant| {
            input.grant_id.as_ref().is_none_or(|id| *id == grant.id)
                && principal.as_ref().is_none_or(|name| name == grant.grantee.name())
        });
        page::cut(&asked, wanted.map(|grant| (grant.id.clone(), entry(grant, &arn))))
    })?;
    Ok(response(page))
}

pub(crate) fn response(page: Page<model::GrantListEntry>) -> model::ListGrantsResponse {
    model::ListGrantsResponse { grants: Some(page.items), truncated: Some(page.next.is_some()), next_marker: page.next }
}

pub(crate) fn entry(grant: &GrantRecord, key_arn: &str) -> model::GrantListEntry {
    let split = |grantee: &Grantee| match grantee {
        Grantee::Principal(name) => (Some(name.clone()), None),
        Grantee::Service(name) => (None, Some(name.clone())),
    };
    let (grantee_principal, grantee_service_principal) = split(&grant.grantee);
    let (retiring_principal, retiring_service_principal) = grant.retiring.as_ref().map_or((None, None), split);
    let constraints = &grant.constraints;
    let constrained = constraints.equals.is_some() || constraints.subset.is_some();
    model::GrantListEntry {
        constraints: constrained.then(|| model::GrantConstraints {
            encryption_context_equals: constraints.equals.clone(),
            encryption_context_subset: constraints.subset.clone(),
            ..model::GrantConstraints::default()
        }),
        creation_date: Some(timestamp(grant.created)),
        grant_id: Some(grant.id.clone()),
        grantee_principal,
        grantee_service_principal,
        issuing_account: Some(format!("arn:aws:iam::{}:root", grant.issuing_account)),
        key_id: Some(key_arn.to_owned()),
        name: grant.name.clone(),
        operations: Some(grant.operations.iter().filter_map(|name| operation(name)).collect()),
        retiring_principal,
        retiring_service_principal,
    }
}

fn operation(name: &str) -> Option<model::GrantOperation> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}
