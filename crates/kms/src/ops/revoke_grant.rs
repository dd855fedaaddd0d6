//! RevokeGrant: end a grant on a KMS key; what depends on it stops. KMS API, RevokeGrant.

use aws_wire::CallContext;

use super::encrypt::dry;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// RevokeGrant.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::RevokeGrantRequest) -> Result<(), KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow_with(cx, &key, "RevokeGrant", &EncryptionContext::default(), facts::of_grants(cx))?;
    state_table::check(Action::RevokeGrant, &key)?;
    check_id(&input.grant_id)?;
    if kms.read(|state| state.grant(&key.id, &input.grant_id).is_none()) {
        return Err(KmsError::NotFound(format!("Grant ID {} not found", input.grant_id)));
    }
    dry(input.dry_run)?;
    kms.end_grant(&turn, &key, &input.grant_id).await
}

/// Grant ids are 64 hexadecimal digits.
pub(crate) fn check_id(id: &str) -> Result<(), KmsError> {
    let sound = id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    if sound { Ok(()) } else { Err(KmsError::InvalidGrantId) }
}
