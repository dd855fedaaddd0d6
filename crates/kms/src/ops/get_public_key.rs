//! GetPublicKey: the public half of an asymmetric KMS key, for use outside KMS. KMS API, GetPublicKey.

use aws_wire::{Blob, CallContext};

use crate::algorithm::wrong_spec;
use crate::material::public_key;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, access, model};

/// GetPublicKey.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GetPublicKeyRequest,
) -> Result<model::GetPublicKeyResponse, KmsError> {
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    let facts = access::named_by(cx, &input.key_id);
    kms.allow_with(cx, &key, "GetPublicKey", &EncryptionContext::default(), facts)?;
    if key.kind.pair().is_none() {
        return Err(wrong_spec(&key));
    }
    state_table::check(Action::GetPublicKey, &key)?;
    Ok(model::GetPublicKeyResponse {
        customer_master_key_spec: key.kind.old_spec(),
        encryption_algorithms: key.kind.encryption_algorithms(),
        key_agreement_algorithms: key.kind.key_agreement_algorithms(),
        key_id: Some(key.arn()),
        key_spec: Some(key.kind.spec()),
        key_usage: Some(key.kind.usage()),
        public_key: Some(Blob(public_key(&key)?.as_spki().to_vec())),
        signing_algorithms: key.kind.signing_algorithms(),
        ..model::GetPublicKeyResponse::default()
    })
}
