//! CreateOpenIDConnectProvider: registers a provider of web identities. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::CreateOpenIdConnectProviderRequest;
use crate::principal::VERSION;
use crate::provider::{self, Provider};
use crate::state::Update;
use crate::{Identities, IdentityError, quota, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: CreateOpenIdConnectProviderRequest,
) -> Result<Vec<Xml>, IdentityError> {
    provider::check_url(&input.url)?;
    let tags = tags::with(&tags::Tags::new(), input.tags.into_iter().flatten().map(|tag| (tag.key, tag.value)))?;
    let provider = Provider {
        version: VERSION,
        account: cx.account.clone(),
        url: input.url.trim_end_matches('/').to_owned(),
        client_ids: input.client_id_list.unwrap_or_default().into_iter().collect(),
        thumbprints: provider::thumbprints(&input.thumbprint_list.unwrap_or_default())?,
        created: cx.time,
        tags,
    };
    if provider.client_ids.len() > quota::CLIENT_IDS {
        return Err(target::exceeded("ClientIdsPerOpenIdConnectProvider", quota::CLIENT_IDS));
    }
    identities
        .change(|state| {
            let there = state.account(&cx.account).map(|account| account.providers());
            if there.is_some_and(|there| there.contains_key(provider.place())) {
                let text = format!("Provider with url {} already exists.", provider.url);
                return Err(IdentityError::EntityAlreadyExists(text));
            }
            if there.is_some_and(|there| there.len() >= quota::PROVIDERS) {
                return Err(target::exceeded("OpenIdConnectProvidersPerAccount", quota::PROVIDERS));
            }
            let arn = Xml::Text("OpenIDConnectProviderArn", provider.arn().to_string());
            let shown = std::iter::once(arn).chain(tags::xml(&provider.tags)).collect();
            Ok((vec![Update::Provider(provider)], shown))
        })
        .await
}
