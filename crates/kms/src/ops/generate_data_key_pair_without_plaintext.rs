//! GenerateDataKeyPairWithoutPlaintext: a fresh key pair, its private key only under a KMS key. KMS API,
//! GenerateDataKeyPairWithoutPlaintext.

use aws_wire::{Blob, CallContext};

use super::encrypt::context_of;
use super::generate_data_key_pair::make;
use crate::state_table::Action;
use crate::{Kms, KmsError, model};

/// GenerateDataKeyPairWithoutPlaintext.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GenerateDataKeyPairWithoutPlaintextRequest,
) -> Result<model::GenerateDataKeyPairWithoutPlaintextResponse, KmsError> {
    let context = context_of(input.encryption_context)?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let action = Action::GenerateDataKeyPairWithoutPlaintext;
    let made = make(kms, cx, action, &input.key_id, input.key_pair_spec, &context, input.dry_run).await?;
    Ok(model::GenerateDataKeyPairWithoutPlaintextResponse {
        key_id: Some(made.key_arn),
        key_material_id: Some(made.version),
        key_pair_spec: Some(input.key_pair_spec),
        private_key_ciphertext_blob: Some(Blob(made.blob)),
        public_key: Some(Blob(made.public.as_spki().to_vec())),
    })
}
