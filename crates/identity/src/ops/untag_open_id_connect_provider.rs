//! UntagOpenIDConnectProvider: takes tags off a provider of web identities. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::UntagOpenIdConnectProviderRequest;
use crate::provider::Provider;
use crate::state::Update;
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UntagOpenIdConnectProviderRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let mut provider = Provider::clone(target::provider(state, cx, &input.open_id_connect_provider_arn)?);
            provider.tags = tags::without(&provider.tags, &input.tag_keys);
            Ok((vec![Update::Provider(provider)], Vec::new()))
        })
        .await
}
