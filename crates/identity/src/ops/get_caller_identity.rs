//! GetCallerIdentity: says who signed. STS API, version 2011-06-15. It needs no permission.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::sts::GetCallerIdentityRequest;
use crate::{Identities, IdentityError};

/// Runs the action.
///
/// # Errors
/// None of its own.
pub async fn run(
    _identities: &Identities,
    cx: &CallContext,
    _input: GetCallerIdentityRequest,
) -> Result<Vec<Xml>, IdentityError> {
    Ok(vec![
        Xml::Text("Arn", cx.caller.arn.to_string()),
        Xml::Text("UserId", cx.caller.principal_id.clone()),
        Xml::Text("Account", cx.caller.account.clone()),
    ])
}
