//! GenerateMac: the HMAC of a message under an HMAC KMS key. KMS API, GenerateMac.

use aws_wire::{Blob, CallContext};

use super::encrypt::dry;
use crate::algorithm::check_mac;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// GenerateMac.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GenerateMacRequest,
) -> Result<model::GenerateMacResponse, KmsError> {
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    let facts = facts::of_mac(cx, &input.key_id, input.mac_algorithm);
    kms.allow_with(cx, &key, "GenerateMac", &EncryptionContext::default(), facts)?;
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
