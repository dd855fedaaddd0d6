//! Encrypt: turn up to 4 KiB of plaintext into a ciphertext blob. KMS API, Encrypt.

use std::collections::BTreeMap;

use aws_wire::{Blob, CallContext};

use crate::record::KeyRecord;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, access, model};

/// Encrypt.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::EncryptRequest,
) -> Result<model::EncryptResponse, KmsError> {
    let context = context_of(input.encryption_context)?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    kms.allow_with(cx, &key, "Encrypt", &context, access::named_by(cx, &input.key_id))?;
    check_algorithm(&key, input.encryption_algorithm)?;
    state_table::check(Action::Encrypt, &key)?;
    dry(input.dry_run)?;
    let (blob, _) = kms.encrypt_under(&key, &context, input.plaintext.as_ref())?;
    Ok(model::EncryptResponse {
        ciphertext_blob: Some(Blob(blob)),
        encryption_algorithm: Some(model::EncryptionAlgorithmSpec::SymmetricDefault),
        key_id: Some(key.arn()),
    })
}

pub(crate) fn context_of(pairs: Option<BTreeMap<String, String>>) -> Result<EncryptionContext, KmsError> {
    EncryptionContext::new(pairs.unwrap_or_default())
}

/// KMS keys are symmetric here, so an algorithm of an asymmetric key is the wrong use.
pub(crate) fn check_algorithm(
    key: &KeyRecord,
    algorithm: Option<model::EncryptionAlgorithmSpec>,
) -> Result<(), KmsError> {
    match algorithm {
        None | Some(model::EncryptionAlgorithmSpec::SymmetricDefault) => Ok(()),
        Some(other) => Err(KmsError::InvalidKeyUsage(format!(
            "Algorithm {} is incompatible with key spec SYMMETRIC_DEFAULT of {}.",
            other.as_str(),
            key.arn()
        ))),
    }
}

/// KMS API, `DryRun`: all checks were made, nothing is done.
pub(crate) fn dry(asked: Option<bool>) -> Result<(), KmsError> {
    if asked == Some(true) { Err(KmsError::DryRun) } else { Ok(()) }
}
