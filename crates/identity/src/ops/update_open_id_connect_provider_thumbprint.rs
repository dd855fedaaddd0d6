//! UpdateOpenIDConnectProviderThumbprint: replaces the certificates that a provider's server may stand on. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::UpdateOpenIdConnectProviderThumbprintRequest;
use crate::provider::{self, Provider};
use crate::state::Update;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UpdateOpenIdConnectProviderThumbprintRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let thumbprints = provider::thumbprints(&input.thumbprint_list)?;
    identities
        .change(|state| {
            let mut provider = Provider::clone(target::provider(state, cx, &input.open_id_connect_provider_arn)?);
            provider.thumbprints = thumbprints;
            Ok((vec![Update::Provider(provider)], Vec::new()))
        })
        .await
}
