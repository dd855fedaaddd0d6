//! AddClientIDToOpenIDConnectProvider: accepts another audience. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::AddClientIdToOpenIdConnectProviderRequest;
use crate::provider::Provider;
use crate::state::Update;
use crate::{Identities, IdentityError, quota, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: AddClientIdToOpenIdConnectProviderRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let mut provider = Provider::clone(target::provider(state, cx, &input.open_id_connect_provider_arn)?);
            provider.client_ids.insert(input.client_id);
            if provider.client_ids.len() > quota::CLIENT_IDS {
                return Err(target::exceeded("ClientIdsPerOpenIdConnectProvider", quota::CLIENT_IDS));
            }
            Ok((vec![Update::Provider(provider)], Vec::new()))
        })
        .await
}
