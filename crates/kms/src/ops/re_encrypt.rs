//! ReEncrypt: open a blob and seal it under another KMS key or context, in one step. KMS API, ReEncrypt.

use aws_wire::{Blob, CallContext};

use super::decrypt::locate;
use super::encrypt::{check_algorithm, context_of, dry};
use crate::blob::Blob as Parsed;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{Kms, KmsError, access, model};

/// ReEncrypt.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ReEncryptRequest,
) -> Result<model::ReEncryptResponse, KmsError> {
    let from = context_of(input.source_encryption_context)?;
    let to = context_of(input.destination_encryption_context)?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let Some(blob) = input.ciphertext_blob else {
        return Err(KmsError::Validation("ReEncrypt needs a CiphertextBlob.".to_owned()));
    };
    let parsed = Parsed::parse(&blob.0)?;
    let source = locate(kms, cx, &parsed, input.source_key_id.as_deref()).await?;
    let destination = kms.find(cx, &input.destination_key_id, Spelling::KeyOrAlias).await?;
    // KMS developer guide, `kms:ReEncryptOnSameKey`.
    let same = (source.id == destination.id).to_string();
    let facts = |spelling: &str| access::named_by(cx, spelling).with("kms:ReEncryptOnSameKey", same.clone());
    kms.allow_with(cx, &source, "ReEncryptFrom", &from, facts(input.source_key_id.as_deref().unwrap_or_default()))?;
    kms.allow_with(cx, &destination, "ReEncryptTo", &to, facts(&input.destination_key_id))?;
    check_algorithm(&source, input.source_encryption_algorithm)?;
    check_algorithm(&destination, input.destination_encryption_algorithm)?;
    state_table::check(Action::ReEncrypt, &source)?;
    state_table::check(Action::ReEncrypt, &destination)?;
    dry(input.dry_run)?;
    let (plaintext, source_version) = kms.decrypt_with(&source, &parsed, &from)?;
    let (sealed, version) = kms.encrypt_under(&destination, &to, &plaintext)?;
    Ok(model::ReEncryptResponse {
        ciphertext_blob: Some(Blob(sealed)),
        destination_encryption_algorithm: Some(model::EncryptionAlgorithmSpec::SymmetricDefault),
        destination_key_material_id: Some(version),
        key_id: Some(destination.arn()),
        source_encryption_algorithm: Some(model::EncryptionAlgorithmSpec::SymmetricDefault),
        source_key_id: Some(source.arn()),
        source_key_material_id: Some(source_version),
    })
}
