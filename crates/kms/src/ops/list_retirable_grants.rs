//! ListRetirableGrants: the grants that a principal may retire. KMS API, ListRetirableGrants.

use aws_wire::CallContext;
use policy::Conditions;

use super::list_grants::{entry, response};
use crate::page::{self, Asked};
use crate::{Kms, KmsError, model};

/// ListRetirableGrants.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ListRetirableGrantsRequest,
) -> Result<model::ListGrantsResponse, KmsError> {
    kms.allow_here(cx, "ListRetirableGrants", "*", Conditions::of_call(cx))?;
    let name = match (input.retiring_principal, input.retiring_service_principal) {
        (Some(name), None) | (None, Some(name)) => name,
        _ => {
            return Err(KmsError::Validation(
                "Specify either RetiringPrincipal or RetiringServicePrincipal.".to_owned(),
            ));
        }
    };
    let asked = Asked {
        list: "ListRetirableGrants",
        limit: input.limit,
        marker: input.marker.as_deref(),
        default: 50,
        most: 100,
    };
    let page = kms.read(|state| {
        let keys = state.keys.values().filter(|key| key.account == cx.account && key.region == cx.region);
        let grants = keys.flat_map(|key| state.grants_of(&key.id).map(move |grant| (key, grant)));
        let wanted =
            grants.filter(|(_, grant)| grant.retiring.as_ref().is_some_and(|retiring| retiring.name() == name));
        let entries = wanted.map(|(key, grant)| (format!("{}/{}", key.id, grant.id), entry(grant, &key.arn())));
        page::cut(&asked, entries)
    })?;
    Ok(response(page))
}
