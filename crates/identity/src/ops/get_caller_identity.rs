//! GetCallerIdentity: says who signed. STS API, version 2011-06-15. It needs no permission.

use aws_wire::CallContext;
use aws_wire::query::Xml;

/// The members of the answer.
pub fn run(cx: &CallContext) -> Vec<Xml> {
    vec![
        Xml::Text("Arn", cx.caller.arn.to_string()),
        Xml::Text("UserId", cx.caller.principal_id.clone()),
        Xml::Text("Account", cx.caller.account.clone()),
    ]
}
