//! GetAccessKeyInfo: says which account an access key belongs to. STS API, version 2011-06-15.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::sts::GetAccessKeyInfoRequest;
use crate::{Identities, IdentityError};

/// Runs the action.
///
/// # Errors
/// [`IdentityError::Validation`] for a key that is not known. Temporary keys are not: they are stored nowhere.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: GetAccessKeyInfoRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let own = cx.caller.access_key_id.as_ref() == Some(&input.access_key_id);
    let account = if own {
        Some(cx.caller.account.clone())
    } else {
        identities.look(|state| state.key(&input.access_key_id).map(|key| key.account.clone()))
    };
    let account = account.ok_or_else(|| {
        IdentityError::Validation(format!("Invalid Access Key ID: {} is not known here.", input.access_key_id))
    })?;
    Ok(vec![Xml::Text("Account", account)])
}
