//! UpdateAccessKey: makes an access key active or inactive. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::model::iam::StatusType;
use crate::model::iam::UpdateAccessKeyRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: UpdateAccessKeyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    let active = match input.status {
        StatusType::Active => true,
        StatusType::Inactive => false,
        StatusType::Expired => {
            return Err(IdentityError::Validation("An access key cannot be made to expire.".to_owned()));
        }
    };
    identities
        .change(|state| {
            let user = target::user_or_caller(state, cx, input.user_name.as_deref())?;
            let key = target::access_key(state, cx, user, &input.access_key_id)?;
            Ok((vec![Update::Key(key.with_active(active))], Vec::new()))
        })
        .await
}
