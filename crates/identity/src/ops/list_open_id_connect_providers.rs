//! ListOpenIDConnectProviders: names the providers of web identities. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::ListOpenIdConnectProvidersRequest;
use crate::{Identities, IdentityError};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    _input: ListOpenIdConnectProvidersRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let all = state.account(&cx.account).into_iter().flat_map(|account| account.providers().values());
        let member = |arn: String| Xml::Node("member", vec![Xml::Text("Arn", arn)]);
        let items = all.map(|provider| member(provider.arn().to_string())).collect();
        Ok(vec![Xml::Node("OpenIDConnectProviderList", items)])
    })
}
