//! GenerateMac: the HMAC of a message under an HMAC KMS key. KMS API, GenerateMac.

use aws_wire::{Blob, CallContext};

use super::encrypt::dry;
use crate::algorithm::check_mac;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// GenerateMac.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GenerateMacRequest,
) -> Result<model::GenerateMacResponse, KmsError> {
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    kms.allow(cx, &key, "GenerateMac", &EncryptionContext::default())?;
    check_mac(&key, "GenerateMac", input.mac_algorithm)?;
    state_table::check(Action::GenerateMac, &key)?;
    dry(input.dry_run)?;
    let mac = kms.mac_key(&key)?.mac(input.message.as_ref());
    Ok(model::GenerateMacResponse {
        key_id: Some(key.arn()),
        mac: Some(Blob(mac)),
        mac_algorithm: Some(input.mac_algorithm),
    })
}
