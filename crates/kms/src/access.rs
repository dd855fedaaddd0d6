//! Who may use a KMS key, decided in the step that looks the key up. KMS developer guide, "Authentication and access
//! control".
//!
//! The identity's own policies are judged before a handler runs. Here: accounts, the fixed policy of a service's key,
//! and grants, which are the only permission that a service has.

use aws_wire::{CallContext, CallerKind};

use crate::kms::Kms;
use crate::record::{KeyRecord, Manager};
use crate::{EncryptionContext, KmsError, grants};

/// What the account's own principals may do with a service's key directly: its policy's second statement.
fn is_metadata_action(action: &str) -> bool {
    ["Describe", "Get", "List"].iter().any(|prefix| action.starts_with(prefix)) || action == "RevokeGrant"
}

impl Kms {
    /// Whether the caller may do `action` with the key. `context` is what grants' constraints are compared with.
    pub(crate) fn allow(
        &self,
        cx: &CallContext,
        key: &KeyRecord,
        action: &str,
        context: &EncryptionContext,
    ) -> Result<(), KmsError> {
        let allowed = key.account == cx.account
            && match &cx.caller.kind {
                CallerKind::Service(principal) => self.read(|state| {
                    state.grants_of(&key.id).any(|grant| grants::applies(grant, principal, action, context))
                }),
                CallerKind::Anonymous | CallerKind::WebIdentity(_) => false,
                CallerKind::Root | CallerKind::User | CallerKind::AssumedRole => {
                    key.manager == Manager::Customer || is_metadata_action(action)
                }
            };
        if allowed { Ok(()) } else { Err(denied(cx, key, action)) }
    }
}

/// The denial, as AWS words it for a KMS key.
pub(crate) fn denied(cx: &CallContext, key: &KeyRecord, action: &str) -> KmsError {
    let caller = match &cx.caller.kind {
        CallerKind::Service(principal) => principal.clone(),
        CallerKind::Root
        | CallerKind::User
        | CallerKind::AssumedRole
        | CallerKind::WebIdentity(_)
        | CallerKind::Anonymous => cx.caller.arn.to_string(),
    };
    KmsError::AccessDenied(format!(
        "User: {caller} is not authorized to perform: kms:{action} on resource: {} because no resource-based policy \
         allows the kms:{action} action",
        key.arn()
    ))
}
