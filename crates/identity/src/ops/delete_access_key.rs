//! DeleteAccessKey: removes an access key. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::DeleteAccessKeyRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: DeleteAccessKeyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let user = target::user_or_caller(state, cx, input.user_name.as_deref())?;
            let key = target::access_key(state, cx, user, &input.access_key_id)?;
            Ok((vec![Update::NoKey(key.clone())], ()))
        })
        .await?;
    identities.forget_use(&input.access_key_id);
    Ok(Vec::new())
}
