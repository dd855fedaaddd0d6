//! GetOpenIDConnectProvider: shows a provider of web identities. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::GetOpenIdConnectProviderRequest;
use crate::{Identities, IdentityError, tags, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetOpenIdConnectProviderRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let provider = target::provider(state, cx, &input.open_id_connect_provider_arn)?;
        let list =
            |items: &mut dyn Iterator<Item = &String>| items.map(|item| Xml::Text("member", item.clone())).collect();
        let mut members = vec![
            Xml::Text("Url", provider.place().to_owned()),
            Xml::Node("ClientIDList", list(&mut provider.client_ids.iter())),
            Xml::Node("ThumbprintList", list(&mut provider.thumbprints.iter())),
            Xml::Text("CreateDate", provider.created.iso()),
        ];
        members.extend(tags::xml(&provider.tags));
        Ok(members)
    })
}
