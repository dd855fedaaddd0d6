//! Ciphertext blobs, as Decrypt and ReEncrypt get them. KMS API, Decrypt: what was not made by Encrypt under this context is
//! InvalidCiphertextException, and nothing else.

use aws_wire::{ApiError, Blob};
use kms::{KmsError, model, ops};

use crate::installation::Installation;

const CONTEXT: [(&str, &str); 1] = [("purpose", "fuzz")];

/// Ciphertexts that open, under two contexts.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let here = Installation::get();
    vec![here.encrypted(b"x", &CONTEXT), here.encrypted(&[7; 300], &CONTEXT), here.encrypted(b"x", &[])]
}

/// Decrypts the bytes with the key named and not named.
pub fn run(bytes: &[u8]) {
    let here = Installation::get();
    let decrypt = |key_id: Option<String>, context: &[(&str, &str)]| {
        let input = model::DecryptRequest {
            ciphertext_blob: Some(Blob(bytes.to_vec())),
            encryption_context: Some(context.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()),
            key_id,
            ..model::DecryptRequest::default()
        };
        here.wait(ops::decrypt::run(&here.kms, &here.cx, input))
    };
    let outcomes = [decrypt(None, &CONTEXT), decrypt(Some(here.key.clone()), &CONTEXT), decrypt(None, &[])];
    let opened = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    // It opens with one context, by either way of naming the key, or not at all.
    assert!(opened <= 2, "a ciphertext opens under two contexts");
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        let allowed = matches!(error, KmsError::InvalidCiphertext | KmsError::IncorrectKey);
        assert!(allowed, "a ciphertext is refused with {error}");
        let text = ApiError::from(error).message;
        assert!(
            text.is_empty() || matches!(error, KmsError::IncorrectKey),
            "the refusal says more than it may: {text}"
        );
    }
    let input = model::ReEncryptRequest {
        ciphertext_blob: Some(Blob(bytes.to_vec())),
        source_encryption_context: outcomes
            .first()
            .is_some_and(Result::is_ok)
            .then(|| CONTEXT.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()),
        destination_key_id: here.key.clone(),
        ..model::ReEncryptRequest::default()
    };
    let again = here.wait(ops::re_encrypt::run(&here.kms, &here.cx, input));
    assert_eq!(again.is_ok(), opened > 0, "ReEncrypt and Decrypt do not agree");
}
