//! Grant tokens, as every call with a key may carry them, and as RetireGrant takes them. KMS API, RetireGrant: a token that
//! was not given out here is InvalidGrantTokenException.

use aws_wire::SecretBlob;
use kms::{KmsError, model, ops};

use crate::installation::Installation;

/// A token that was given out and whose grant is there.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let here = Installation::get();
    let input = model::CreateGrantRequest {
        key_id: here.key.clone(),
        grantee_principal: Some("arn:aws:iam::000000000001:user/fuzz".to_owned()),
        operations: vec![model::GrantOperation::Decrypt],
        ..model::CreateGrantRequest::default()
    };
    let made = here.wait(ops::create_grant::run(&here.kms, &here.cx, input)).expect("a grant");
    vec![made.grant_token.expect("its token").into_bytes()]
}

/// Uses the text as a token.
pub fn run(bytes: &[u8]) {
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    let here = Installation::get();
    let input = model::EncryptRequest {
        key_id: here.key.clone(),
        plaintext: SecretBlob::new(b"x".to_vec()),
        grant_tokens: Some(vec![token.to_owned()]),
        ..model::EncryptRequest::default()
    };
    match here.wait(ops::encrypt::run(&here.kms, &here.cx, input)) {
        Ok(_) | Err(KmsError::InvalidGrantToken) => {}
        Err(error) => panic!("a grant token is refused with {error}"),
    }
    let input =
        model::RetireGrantRequest { grant_token: Some(token.to_owned()), ..model::RetireGrantRequest::default() };
    match here.wait(ops::retire_grant::run(&here.kms, &here.cx, input)) {
        Ok(_) | Err(KmsError::InvalidGrantToken | KmsError::NotFound(_) | KmsError::AccessDenied(_)) => {}
        Err(error) => panic!("RetireGrant refuses a token with {error}"),
    }
}
