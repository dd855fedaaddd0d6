//! GenerateRandom: random bytes. KMS API, GenerateRandom.

use aws_wire::{CallContext, SecretBlob};
use policy::Conditions;
use zeroize::Zeroizing;

use super::decrypt::refuse_recipient;
use crate::{Kms, KmsError, model};

/// GenerateRandom.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GenerateRandomRequest,
) -> Result<model::GenerateRandomResponse, KmsError> {
    kms.allow_here(cx, "GenerateRandom", "*", Conditions::of_call(cx))?;
    refuse_recipient(input.recipient.is_some())?;
    if input.custom_key_store_id.is_some() {
        return Err(KmsError::Unsupported("Custom key stores are not supported.".to_owned()));
    }
    let Some(Ok(length)) = input.number_of_bytes.map(usize::try_from) else {
        return Err(KmsError::Validation("GenerateRandom needs NumberOfBytes.".to_owned()));
    };
    let mut plaintext = Zeroizing::new(vec![0; length]);
    kms.env().fill(&mut plaintext);
    Ok(model::GenerateRandomResponse {
        plaintext: Some(SecretBlob(plaintext)),
        ..model::GenerateRandomResponse::default()
    })
}
