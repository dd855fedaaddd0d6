//! RemoveClientIDFromOpenIDConnectProvider: accepts an audience no more; one that is not there is no error. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::RemoveClientIdFromOpenIdConnectProviderRequest;
use crate::provider::Provider;
use crate::state::Update;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: RemoveClientIdFromOpenIdConnectProviderRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let mut provider = Provider::clone(target::provider(state, cx, &input.open_id_connect_provider_arn)?);
            provider.client_ids.remove(&input.client_id);
            Ok((vec![Update::Provider(provider)], Vec::new()))
        })
        .await
}
