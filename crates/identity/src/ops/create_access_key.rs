//! CreateAccessKey: makes an access key; the secret is shown here and never again. IAM API, version 2010-05-08.

use aws_wire::CallContext;
use aws_wire::query::Xml;

use crate::access_key::AccessKey;
use crate::model::iam::CreateAccessKeyRequest;
use crate::state::Update;
use crate::{Identities, IdentityError, describe, quota, target};

/// Runs the action.
///
/// # Errors
/// Those of its API page.
pub async fn run(
    identities: &Identities,
    cx: &CallContext,
    input: CreateAccessKeyRequest,
) -> Result<Vec<Xml>, IdentityError> {
    identities
        .change(|state| {
            let user = target::user_or_caller(state, cx, input.user_name.as_deref())?;
            let id = user.map(|user| user.id.clone());
            if state.keys_of(&cx.account, id.as_deref()).len() >= quota::ACCESS_KEYS {
                return Err(target::exceeded("AccessKeysPerUser", quota::ACCESS_KEYS));
            }
            let key = AccessKey::generate(&cx.account, id, cx.time, identities.env());
            let mut members = describe::access_key(&key, user.map(|user| user.name.as_str()));
            members.push(Xml::Text("SecretAccessKey", key.secret.to_string()));
            Ok((vec![Update::Key(key)], vec![Xml::Node("AccessKey", members)]))
        })
        .await
}
