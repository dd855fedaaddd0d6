//! Decrypt: open a ciphertext blob; the blob names its KMS key and version. KMS API, Decrypt.

use std::sync::Arc;

use aws_wire::{CallContext, SecretBlob};
use zeroize::Zeroizing;

use super::encrypt::{context_of, dry};
use crate::algorithm::Cipher;
use crate::algorithm::wrong_algorithm;
use crate::blob::Blob;
use crate::record::KeyRecord;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model, uuid};

/// Decrypt.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::DecryptRequest,
) -> Result<model::DecryptResponse, KmsError> {
    refuse_recipient(input.recipient.is_some())?;
    let context = context_of(input.encryption_context)?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let Some(blob) = input.ciphertext_blob else {
        return Err(KmsError::Validation("Decrypt needs a CiphertextBlob.".to_owned()));
    };
    let key_id = input.key_id.as_deref();
    let facts = || facts::of_cipher(cx, key_id.unwrap_or_default(), input.encryption_algorithm);
    if let Some(key) = asymmetric(kms, cx, key_id, input.encryption_algorithm).await? {
        kms.allow_with(cx, &key, "Decrypt", &context, facts())?;
        let oaep = oaep_of(&key, "Decrypt", input.encryption_algorithm, &context)?;
        state_table::check(Action::Decrypt, &key)?;
        dry(input.dry_run)?;
        let plaintext = kms.decrypt_oaep(&key, oaep, blob.0).await?;
        return Ok(model::DecryptResponse {
            encryption_algorithm: input.encryption_algorithm,
            key_id: Some(key.arn()),
            plaintext: Some(SecretBlob(plaintext)),
            ..model::DecryptResponse::default()
        });
    }
    if input.dry_run == Some(true) {
        let key = locate(kms, cx, &Blob::parse(&blob.0)?, key_id).await?;
        kms.allow_with(cx, &key, "Decrypt", &context, facts())?;
        state_table::check(Action::Decrypt, &key)?;
        dry(input.dry_run)?;
    }
    let (key, plaintext, version) = open(kms, cx, &blob.0, key_id, &context, input.encryption_algorithm).await?;
    Ok(model::DecryptResponse {
        encryption_algorithm: Some(model::EncryptionAlgorithmSpec::SymmetricDefault),
        key_id: Some(key.arn()),
        key_material_id: Some(version),
        plaintext: Some(SecretBlob(plaintext)),
        ..model::DecryptResponse::default()
    })
}

/// All of Decrypt but its wire form: the key, the plaintext and the id of the version that opened it.
pub(crate) async fn open(
    kms: &Kms,
    cx: &CallContext,
    blob: &[u8],
    key_id: Option<&str>,
    context: &EncryptionContext,
    algorithm: Option<model::EncryptionAlgorithmSpec>,
) -> Result<(Arc<KeyRecord>, Zeroizing<Vec<u8>>, String), KmsError> {
    let parsed = Blob::parse(blob)?;
    let key = locate(kms, cx, &parsed, key_id).await?;
    let facts = facts::of_cipher(cx, key_id.unwrap_or_default(), algorithm);
    let allowed = kms.allow_with(cx, &key, "Decrypt", context, facts);
    match allowed {
        // Whoever may not use another account's key does not learn from a blob that there is one.
        Err(_) if key_id.is_none() && key.account != cx.account => return Err(KmsError::InvalidCiphertext),
        allowed => allowed?,
    }
    Cipher::of(&key, "Decrypt", algorithm)?;
    state_table::check(Action::Decrypt, &key)?;
    let (plaintext, version) = kms.decrypt_with(&key, &parsed, context)?;
    Ok((key, plaintext, version))
}

/// The KMS key of a blob. A blob that names no key says no more than one that does not open.
pub(crate) async fn locate(
    kms: &Kms,
    cx: &CallContext,
    parsed: &Blob<'_>,
    key_id: Option<&str>,
) -> Result<Arc<KeyRecord>, KmsError> {
    let named = uuid::from_bytes(parsed.key);
    match key_id {
        Some(key_id) => {
            let key = kms.find(cx, key_id, Spelling::KeyOrAlias).await?;
            if key.id == named { Ok(key) } else { Err(KmsError::IncorrectKey) }
        }
        None => kms.find_anyones(&cx.region, &named).ok_or(KmsError::InvalidCiphertext),
    }
}

/// The key of a bare RSA ciphertext, which cannot name it: one that is not symmetric, or one that was asked for such an
/// algorithm.
pub(crate) async fn asymmetric(
    kms: &Kms,
    cx: &CallContext,
    key_id: Option<&str>,
    algorithm: Option<model::EncryptionAlgorithmSpec>,
) -> Result<Option<Arc<KeyRecord>>, KmsError> {
    let asked = algorithm.is_some_and(|algorithm| algorithm != model::EncryptionAlgorithmSpec::SymmetricDefault);
    let Some(key_id) = key_id else {
        return if asked {
            Err(KmsError::Validation("Decrypt with an asymmetric key needs a KeyId.".to_owned()))
        } else {
            Ok(None)
        };
    };
    let key = kms.find(cx, key_id, Spelling::KeyOrAlias).await?;
    Ok((asked || !key.kind.is_symmetric()).then_some(key))
}

/// How such a key decrypts.
pub(crate) fn oaep_of(
    key: &KeyRecord,
    action: &str,
    algorithm: Option<model::EncryptionAlgorithmSpec>,
    context: &EncryptionContext,
) -> Result<crypto::Oaep, KmsError> {
    let cipher = Cipher::of(key, action, algorithm)?;
    cipher.check_context(key, context)?;
    match cipher {
        Cipher::Oaep(_, oaep) => Ok(oaep),
        Cipher::Symmetric => Err(wrong_algorithm(key, cipher.name().as_str())),
    }
}

/// Enclaves and their attestation documents are not offered.
pub(crate) fn refuse_recipient(given: bool) -> Result<(), KmsError> {
    if given { Err(KmsError::Unsupported("Recipient is not supported.".to_owned())) } else { Ok(()) }
}
