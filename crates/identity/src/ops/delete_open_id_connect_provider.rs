//! DeleteOpenIDConnectProvider: removes a provider; roles that trust it stay, and nobody comes through it any more. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteOpenIdConnectProviderRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeleteOpenIdConnectProviderRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let provider = target::provider(state, cx, &input.open_id_connect_provider_arn)?;
            Ok((vec![Update::NoProvider(provider.clone())], Vec::new()))
        })
        .await
}
