//! GetUser: shows a user, or the caller itself. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::describe::{self, Extent};
use crate::model::iam::GetUserRequest;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(identities: &Identities, cx: &CallContext, input: GetUserRequest) -> Result<Vec<Xml>, IdentityError> {
    identities.look(|state| {
        let members = match target::user_or_caller(state, cx, input.user_name.as_deref())? {
            Some(user) => describe::principal(user, Extent::Whole),
            None => vec![
                Xml::Text("UserId", cx.account.clone()),
                Xml::Text("Arn", cx.caller.arn.to_string()),
                Xml::Text("CreateDate", state.root_created(&cx.account).iso()),
            ],
        };
        Ok(vec![Xml::Node("User", members)])
    })
}
