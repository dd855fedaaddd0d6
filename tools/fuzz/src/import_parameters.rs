//! The parameters of ImportKeyMaterial: an import token and wrapped material. KMS API, ImportKeyMaterial: a token that was not
//! given out for the KMS key is InvalidImportTokenException; material that was not wrapped for the token is
//! InvalidCiphertextException.

use std::sync::OnceLock;

use crypto::{Oaep, PairKind, PublicKey};
use kms::model::{AlgorithmSpec, WrappingKeySpec};
use kms::{KmsError, model, ops};

use crate::installation::Installation;

/// What every input imports, if it imports anything.
const MATERIAL: [u8; 32] = [7; 32];

/// A KMS key for imports, and inputs that import: the token's length in two bytes, the token, the wrapped material.
fn world() -> &'static (String, Vec<Vec<u8>>) {
    static ONE: OnceLock<(String, Vec<Vec<u8>>)> = OnceLock::new();
    ONE.get_or_init(|| {
        let here = Installation::get();
        let input =
            model::CreateKeyRequest { origin: Some(model::OriginType::External), ..model::CreateKeyRequest::default() };
        let made = here.wait(ops::create_key::run(&here.kms, &here.cx, input)).expect("a key");
        let key = made.key_metadata.expect("its description").key_id;
        let algorithms = [(AlgorithmSpec::RsaesOaepSha256, true), (AlgorithmSpec::RsaAesKeyWrapSha256, false)];
        let seeds = algorithms.map(|(algorithm, direct)| {
            let input = model::GetParametersForImportRequest {
                key_id: key.clone(),
                wrapping_algorithm: algorithm,
                wrapping_key_spec: WrappingKeySpec::Rsa2048,
            };
            let made = here.wait(ops::get_parameters_for_import::run(&here.kms, &here.cx, input)).expect("parameters");
            let (token, public) = (made.import_token.expect("a token").0, made.public_key.expect("a key").0);
            let public = PublicKey::from_spki(PairKind::Rsa2048, public.to_vec());
            // The other way gets as far as the key wrap, which does not open.
            let mut wrapped = public.encrypt(Oaep::Sha256, &MATERIAL).expect("wrapped material");
            if !direct {
                wrapped.extend_from_slice(&[0xa6; 40]);
            }
            let length = u16::try_from(token.len()).expect("a token is short");
            [&length.to_be_bytes()[..], &token, &wrapped].concat()
        });
        (key, seeds.to_vec())
    })
}

/// Inputs that import, or get as far as the innermost seal.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    world().1.clone()
}

/// Imports the bytes.
pub fn run(bytes: &[u8]) {
    let here = Installation::get();
    let (key, seeds) = world();
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let (token, wrapped) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes(*length))));
    let input = model::ImportKeyMaterialRequest {
        key_id: key.clone(),
        import_token: token.to_vec().into(),
        encrypted_key_material: wrapped.to_vec().into(),
        expiration_model: Some(model::ExpirationModelType::KeyMaterialDoesNotExpire),
        ..model::ImportKeyMaterialRequest::default()
    };
    let is_genuine = seeds.iter().any(|seed| seed.get(2..).is_some_and(|seed| seed.starts_with(token)));
    match here.wait(ops::import_key_material::run(&here.kms, &here.cx, input)) {
        Ok(_) => assert!(seeds.iter().any(|seed| seed == bytes), "what was not wrapped for the token is imported"),
        Err(KmsError::InvalidImportToken) => {}
        Err(KmsError::InvalidCiphertext) => assert!(is_genuine, "a token that was changed is taken"),
        Err(error) => panic!("parameters of an import are refused with {error}"),
    }
}
