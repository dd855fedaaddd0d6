//! GenerateDataKey: a fresh key, in the clear and under a KMS key. KMS API, GenerateDataKey.

use aws_wire::{Blob, CallContext, SecretBlob};
use zeroize::Zeroizing;

use super::decrypt::refuse_recipient;
use super::encrypt::{context_of, dry};
use crate::algorithm::check_symmetric;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// GenerateDataKey.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GenerateDataKeyRequest,
) -> Result<model::GenerateDataKeyResponse, KmsError> {
    refuse_recipient(input.recipient.is_some())?;
    let length = length(input.key_spec, input.number_of_bytes)?;
    let context = context_of(input.encryption_context)?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let made = make(kms, cx, Action::GenerateDataKey, &input.key_id, length, &context, input.dry_run).await?;
    Ok(model::GenerateDataKeyResponse {
        ciphertext_blob: Some(Blob(made.blob)),
        key_id: Some(made.key_arn),
        key_material_id: Some(made.version),
        plaintext: Some(SecretBlob(made.plaintext)),
        ..model::GenerateDataKeyResponse::default()
    })
}

/// A fresh data key.
pub(crate) struct Made {
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
    pub(crate) blob: Vec<u8>,
    pub(crate) key_arn: String,
    pub(crate) version: String,
}

/// The work of both forms; `action` is what must be allowed.
pub(crate) async fn make(
    kms: &Kms,
    cx: &CallContext,
    action: Action,
    key_id: &str,
    length: usize,
    context: &EncryptionContext,
    dry_run: Option<bool>,
) -> Result<Made, KmsError> {
    let key = kms.find(cx, key_id, Spelling::KeyOrAlias).await?;
    let name = if action == Action::GenerateDataKey { "GenerateDataKey" } else { "GenerateDataKeyWithoutPlaintext" };
    kms.allow_with(cx, &key, name, context, facts::of_cipher(cx, key_id, None))?;
    check_symmetric(&key, name)?;
    state_table::check(action, &key)?;
    dry(dry_run)?;
    let mut plaintext = Zeroizing::new(vec![0; length]);
    kms.env().fill(&mut plaintext);
    let (blob, version) = kms.encrypt_under(&key, context, &plaintext)?;
    Ok(Made { plaintext, blob, key_arn: key.arn(), version })
}

/// KMS API: one of KeySpec and NumberOfBytes, not both.
pub(crate) fn length(spec: Option<model::DataKeySpec>, bytes: Option<i32>) -> Result<usize, KmsError> {
    match (spec, bytes.map(usize::try_from)) {
        (Some(model::DataKeySpec::Aes256), None) => Ok(32),
        (Some(model::DataKeySpec::Aes128), None) => Ok(16),
        (None, Some(Ok(bytes))) => Ok(bytes),
        _ => Err(KmsError::Validation("Please specify either number of bytes or key spec.".to_owned())),
    }
}
