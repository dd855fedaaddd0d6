//! CreateGrant: let a principal use a KMS key. KMS API, CreateGrant.

use aws_wire::CallContext;
use policy::Conditions;

use super::encrypt::dry;
use crate::grants::{self, Terms};
use crate::record::{Constraints, Grantee};
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// CreateGrant.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::CreateGrantRequest,
) -> Result<model::CreateGrantResponse, KmsError> {
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let grantee = grantee_of(input.grantee_principal, input.grantee_service_principal, "Grantee")?
        .ok_or_else(|| KmsError::Validation("Specify GranteePrincipal or GranteeServicePrincipal.".to_owned()))?;
    let terms = Terms {
        name: input.name,
        grantee,
        retiring: grantee_of(input.retiring_principal, input.retiring_service_principal, "Retiring")?,
        operations: input.operations.iter().map(|operation| operation.as_str().to_owned()).collect(),
        constraints: constraints_of(input.constraints)?,
    };
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    let parents = kms.parents_of(cx, &key);
    match kms.allow_with(cx, &key, "CreateGrant", &EncryptionContext::default(), facts_of(cx, &terms)) {
        // By a grant of its own the caller may give away no more than that grant gives.
        Ok(()) if parents.iter().any(|parent| terms.within(parent)) => {}
        Ok(()) if parents.is_empty() => {}
        Ok(()) => kms.allow_without_grants(cx, &key, "CreateGrant", facts_of(cx, &terms))?,
        Err(refused) => return Err(refused),
    }
    grants::check(&terms, &key)?;
    state_table::check(Action::CreateGrant, &key)?;
    dry(input.dry_run)?;
    let (grant_id, grant_token) = kms.grant(&turn, &key, terms, &cx.account).await?;
    Ok(model::CreateGrantResponse { grant_id: Some(grant_id), grant_token: Some(grant_token) })
}

/// KMS developer guide, "AWS KMS condition keys" for CreateGrant.
fn facts_of(cx: &CallContext, terms: &Terms) -> Conditions {
    let constraints = [
        terms.constraints.equals.as_ref().map(|_| "EncryptionContextEquals"),
        terms.constraints.subset.as_ref().map(|_| "EncryptionContextSubset"),
    ];
    let facts = Conditions::of_call(cx)
        .with("kms:GranteePrincipal", terms.grantee.name())
        .with_all("kms:RetiringPrincipal", terms.retiring.as_ref().map(Grantee::name))
        .with_all("kms:GrantOperations", terms.operations.iter().cloned())
        .with_all("kms:GrantConstraintType", constraints.into_iter().flatten())
        // Only a service that calls for someone makes grants for resources of its own.
        .with("kms:GrantIsForAWSResource", "false");
    let pairs = terms.constraints.equals.iter().chain(&terms.constraints.subset).flatten();
    pairs.fold(facts, |facts, (name, value)| {
        facts
            .with(&format!("kms:EncryptionContext:{name}"), value.clone())
            .with("kms:EncryptionContextKeys", name.clone())
    })
}

fn grantee_of(principal: Option<String>, service: Option<String>, which: &str) -> Result<Option<Grantee>, KmsError> {
    match (principal, service) {
        (Some(_), Some(_)) => Err(KmsError::Validation(format!(
            "You cannot specify {which}Principal and {which}ServicePrincipal in the same request."
        ))),
        (Some(name), None) => Ok(Some(Grantee::Principal(name))),
        (None, Some(name)) => Ok(Some(Grantee::Service(name))),
        (None, None) => Ok(None),
    }
}

fn constraints_of(given: Option<model::GrantConstraints>) -> Result<Constraints, KmsError> {
    let given = given.unwrap_or_default();
    // Nothing here knows on whose behalf a service calls, so the constraint could not be kept.
    if given.source_arn.is_some() {
        return Err(KmsError::Unsupported("The grant constraint SourceArn is not supported.".to_owned()));
    }
    Ok(Constraints { equals: given.encryption_context_equals, subset: given.encryption_context_subset })
}
