//! ListOpenIDConnectProviderTags: shows the tags of a provider of web identities. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListOpenIdConnectProviderTagsRequest;
use crate::page::Page;
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: ListOpenIdConnectProviderTagsRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let provider = target::provider(state, cx, &input.open_id_connect_provider_arn)?;
        let all = provider.tags.iter().map(|(key, value)| (key.clone(), tags::member(key, value)));
        let scope = "ListOpenIDConnectProviderTags";
        Page { scope, marker: input.marker.as_deref(), items_max: input.max_items }.of("Tags", all)
    })
}
