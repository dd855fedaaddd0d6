//! VerifyMac: whether an HMAC is the one of this message under an HMAC KMS key. KMS API, VerifyMac.

use aws_wire::CallContext;

use super::encrypt::dry;
use crate::algorithm::check_mac;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// VerifyMac. A MAC that does not verify is an error, never an answer that says no.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::VerifyMacRequest,
) -> Result<model::VerifyMacResponse, KmsError> {
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    let facts = facts::of_mac(cx, &input.key_id, input.mac_algorithm);
    kms.allow_with(cx, &key, "VerifyMac", &EncryptionContext::default(), facts)?;
    check_mac(&key, "VerifyMac", input.mac_algorithm)?;
    state_table::check(Action::VerifyMac, &key)?;
    dry(input.dry_run)?;
    if !kms.mac_key(&key)?.verify(input.message.as_ref(), input.mac.as_ref()) {
        return Err(KmsError::InvalidMac);
    }
    Ok(model::VerifyMacResponse {
        key_id: Some(key.arn()),
        mac_algorithm: Some(input.mac_algorithm),
        mac_valid: Some(true),
    })
}
