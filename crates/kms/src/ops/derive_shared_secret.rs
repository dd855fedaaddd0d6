//! DeriveSharedSecret: the raw shared secret of a KMS key and a peer's public key. KMS API, DeriveSharedSecret.

use aws_wire::{CallContext, SecretBlob};
use crypto::PairError;

use super::decrypt::refuse_recipient;
use super::encrypt::dry;
use crate::algorithm::wrong_usage;
use crate::kind::Kind;
use crate::material::{aside, failed};
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// DeriveSharedSecret.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::DeriveSharedSecretRequest,
) -> Result<model::DeriveSharedSecretResponse, KmsError> {
    refuse_recipient(input.recipient.is_some())?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    let facts = facts::of_agreement(cx, &input.key_id, input.key_agreement_algorithm);
    kms.allow_with(cx, &key, "DeriveSharedSecret", &EncryptionContext::default(), facts)?;
    if !matches!(key.kind, Kind::Agreement(_)) {
        return Err(wrong_usage(&key, "DeriveSharedSecret"));
    }
    state_table::check(Action::DeriveSharedSecret, &key)?;
    dry(input.dry_run)?;
    let private = kms.private_key(&key)?;
    let peer = input.public_key;
    let secret = aside(move || private.agree(peer.as_ref())).await?;
    let secret = secret.map_err(|cause| match cause {
        // The private key is ours, so it is the peer's key that was refused.
        PairError::Malformed => KmsError::Validation(format!(
            "PublicKey is not a DER-encoded SubjectPublicKeyInfo of a point on the curve of key spec {}.",
            key.kind.spec().as_str()
        )),
        cause => failed(&key, cause),
    })?;
    Ok(model::DeriveSharedSecretResponse {
        key_agreement_algorithm: Some(input.key_agreement_algorithm),
        key_id: Some(key.arn()),
        key_origin: Some(model::OriginType::AwsKms),
        shared_secret: Some(SecretBlob(secret)),
        ..model::DeriveSharedSecretResponse::default()
    })
}
