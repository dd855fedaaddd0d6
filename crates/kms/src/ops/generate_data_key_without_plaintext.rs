//! GenerateDataKeyWithoutPlaintext: a fresh key, only under a KMS key. KMS API, GenerateDataKeyWithoutPlaintext.

use aws_wire::{Blob, CallContext};

use super::encrypt::context_of;
use super::generate_data_key::{length, make};
use crate::state_table::Action;
use crate::{Kms, KmsError, model};

/// GenerateDataKeyWithoutPlaintext.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GenerateDataKeyWithoutPlaintextRequest,
) -> Result<model::GenerateDataKeyWithoutPlaintextResponse, KmsError> {
    let length = length(input.key_spec, input.number_of_bytes)?;
    let context = context_of(input.encryption_context)?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let action = Action::GenerateDataKeyWithoutPlaintext;
    let made = make(kms, cx, action, &input.key_id, length, &context, input.dry_run).await?;
    Ok(model::GenerateDataKeyWithoutPlaintextResponse {
        ciphertext_blob: Some(Blob(made.blob)),
        key_id: Some(made.key_arn),
        key_material_id: Some(made.version),
    })
}
