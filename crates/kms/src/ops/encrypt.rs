//! Encrypt: turn up to 4 KiB of plaintext into a ciphertext blob. KMS API, Encrypt.

use std::collections::BTreeMap;

use aws_wire::{Blob, CallContext};

use crate::algorithm::Cipher;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// Encrypt.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::EncryptRequest,
) -> Result<model::EncryptResponse, KmsError> {
    let context = context_of(input.encryption_context)?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let key = kms.find(cx, &input.key_id, Spelling::KeyOrAlias).await?;
    kms.allow_with(cx, &key, "Encrypt", &context, facts::of_cipher(cx, &input.key_id, input.encryption_algorithm))?;
    let cipher = Cipher::of(&key, "Encrypt", input.encryption_algorithm)?;
    cipher.check(&key, &context, input.plaintext.as_ref().len())?;
    state_table::check(Action::Encrypt, &key)?;
    dry(input.dry_run)?;
    let (blob, _) = kms.encrypt_by(&key, cipher, &context, input.plaintext.as_ref())?;
    Ok(model::EncryptResponse {
        ciphertext_blob: Some(Blob(blob)),
        encryption_algorithm: Some(cipher.name()),
        key_id: Some(key.arn()),
    })
}

pub(crate) fn context_of(pairs: Option<BTreeMap<String, String>>) -> Result<EncryptionContext, KmsError> {
    EncryptionContext::new(pairs.unwrap_or_default())
}

/// KMS API, `DryRun`: all checks were made, nothing is done.
pub(crate) fn dry(asked: Option<bool>) -> Result<(), KmsError> {
    if asked == Some(true) { Err(KmsError::DryRun) } else { Ok(()) }
}
