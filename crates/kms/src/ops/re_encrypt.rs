//! ReEncrypt: open a blob and seal it under another KMS key or context, in one step. KMS API, ReEncrypt.

use aws_wire::{Blob, CallContext};

use super::decrypt::{asymmetric, locate};
use super::encrypt::{context_of, dry};
use crate::algorithm::Cipher;
use crate::blob::Blob as Parsed;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{Kms, KmsError, facts, model};

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
    let bare = asymmetric(kms, cx, input.source_key_id.as_deref(), input.source_encryption_algorithm).await?;
    let source = match &bare {
        Some(key) => key.clone(),
        None => locate(kms, cx, &Parsed::parse(&blob.0)?, input.source_key_id.as_deref()).await?,
    };
    let destination = kms.find(cx, &input.destination_key_id, Spelling::KeyOrAlias).await?;
    // KMS developer guide, `kms:ReEncryptOnSameKey`.
    let same = (source.id == destination.id).to_string();
    let facts = |spelling: &str, algorithm| {
        facts::of_cipher(cx, spelling, algorithm).with("kms:ReEncryptOnSameKey", same.clone())
    };
    let opened_by = facts(input.source_key_id.as_deref().unwrap_or_default(), input.source_encryption_algorithm);
    kms.allow_with(cx, &source, "ReEncryptFrom", &from, opened_by)?;
    let sealed_by = facts(&input.destination_key_id, input.destination_encryption_algorithm);
    kms.allow_with(cx, &destination, "ReEncryptTo", &to, sealed_by)?;
    let opens = Cipher::of(&source, "ReEncrypt", input.source_encryption_algorithm)?;
    opens.check_context(&source, &from)?;
    let seals = Cipher::of(&destination, "ReEncrypt", input.destination_encryption_algorithm)?;
    seals.check_context(&destination, &to)?;
    state_table::check(Action::ReEncrypt, &source)?;
    state_table::check(Action::ReEncrypt, &destination)?;
    dry(input.dry_run)?;
    let (plaintext, source_version) = match opens {
        Cipher::Symmetric => {
            let (plaintext, version) = kms.decrypt_with(&source, &Parsed::parse(&blob.0)?, &from)?;
            (plaintext, Some(version))
        }
        Cipher::Oaep(_, oaep) => (kms.decrypt_oaep(&source, oaep, blob.0).await?, None),
    };
    let (sealed, version) = kms.encrypt_by(&destination, seals, &to, &plaintext)?;
    Ok(model::ReEncryptResponse {
        ciphertext_blob: Some(Blob(sealed)),
        destination_encryption_algorithm: Some(seals.name()),
        destination_key_material_id: version,
        key_id: Some(destination.arn()),
        source_encryption_algorithm: Some(opens.name()),
        source_key_id: Some(source.arn()),
        source_key_material_id: source_version,
    })
}
