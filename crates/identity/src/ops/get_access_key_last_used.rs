//! GetAccessKeyLastUsed: says when, where and for what an access key signed last. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::GetAccessKeyLastUsedRequest;
use crate::principal::Kind;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetAccessKeyLastUsedRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let user_name = identities.look(|state| {
        let key = state.key(&input.access_key_id).filter(|key| key.account == cx.account);
        let key = key.ok_or_else(|| target::no_access_key(&input.access_key_id))?;
        let user = key.user.as_ref().and_then(|id| state.by_id(&cx.account, Kind::User, id));
        Ok::<_, IdentityError>(user.map(|user| user.name.clone()))
    })?;
    let used = match identities.last_use(&input.access_key_id) {
        Some(used) => vec![
            Xml::Text("LastUsedDate", used.time.iso()),
            Xml::Text("ServiceName", used.service),
            Xml::Text("Region", used.region),
        ],
        None => vec![Xml::Text("ServiceName", "N/A".to_owned()), Xml::Text("Region", "N/A".to_owned())],
    };
    let name = user_name.map(|name| Xml::Text("UserName", name));
    Ok(name.into_iter().chain([Xml::Node("AccessKeyLastUsed", used)]).collect())
}
