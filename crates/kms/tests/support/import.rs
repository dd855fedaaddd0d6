//! The caller's side of an import: material of its own, wrapped for the server.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_wire::Timestamp;
use crypto::{Oaep, PairKind, PublicKey};
use kms::model::{AlgorithmSpec, WrappingKeySpec};
use kms::{Kms, KmsError, model, ops};

use super::root;

/// What GetParametersForImport answered, and for which algorithm.
#[derive(Clone)]
pub(crate) struct Parameters {
    pub(crate) token: Vec<u8>,
    public: PublicKey,
    algorithm: AlgorithmSpec,
    pub(crate) valid_to: i64,
}

/// The id of a new KMS key without material.
pub(crate) async fn new_external(kms: &Kms) -> String {
    let input =
        model::CreateKeyRequest { origin: Some(model::OriginType::External), ..model::CreateKeyRequest::default() };
    let made = ops::create_key::run(kms, &root(), input).await.unwrap();
    made.key_metadata.unwrap().key_id
}

pub(crate) async fn parameters(
    kms: &Kms,
    key_id: &str,
    algorithm: AlgorithmSpec,
    spec: WrappingKeySpec,
) -> Result<Parameters, KmsError> {
    let input = model::GetParametersForImportRequest {
        key_id: key_id.to_owned(),
        wrapping_algorithm: algorithm,
        wrapping_key_spec: spec,
    };
    let made = ops::get_parameters_for_import::run(kms, &root(), input).await?;
    let kind = match spec {
        WrappingKeySpec::Rsa2048 => PairKind::Rsa2048,
        WrappingKeySpec::Rsa3072 => PairKind::Rsa3072,
        _ => PairKind::Rsa4096,
    };
    let public = PublicKey::from_spki(kind, made.public_key.unwrap().0.to_vec());
    let (token, valid_to) = (made.import_token.unwrap().0, made.parameters_valid_to.unwrap().seconds());
    Ok(Parameters { token, public, algorithm, valid_to })
}

/// Those of RSA_2048 and RSAES_OAEP_SHA_256.
pub(crate) async fn usual(kms: &Kms, key_id: &str) -> Parameters {
    parameters(kms, key_id, AlgorithmSpec::RsaesOaepSha256, WrappingKeySpec::Rsa2048).await.unwrap()
}

impl Parameters {
    pub(crate) fn wrap(&self, material: &[u8]) -> Vec<u8> {
        let direct = |oaep, bytes: &[u8]| self.public.encrypt(oaep, bytes).unwrap();
        let two = |oaep| {
            let aes = [0x5a; 32];
            let mut room = vec![0; material.len() + 15];
            let kek = AesKek::new(&AES_256, &aes).unwrap();
            let wrapped = kek.wrap_with_padding(material, &mut room).unwrap().to_vec();
            [direct(oaep, &aes), wrapped].concat()
        };
        match self.algorithm {
            AlgorithmSpec::RsaesOaepSha1 => direct(Oaep::Sha1, material),
            AlgorithmSpec::RsaAesKeyWrapSha1 => two(Oaep::Sha1),
            AlgorithmSpec::RsaAesKeyWrapSha256 => two(Oaep::Sha256),
            _ => direct(Oaep::Sha256, material),
        }
    }

    /// An import of 32 equal bytes that never expires, to be changed as a test needs it.
    pub(crate) fn request(&self, key_id: &str, byte: u8) -> model::ImportKeyMaterialRequest {
        model::ImportKeyMaterialRequest {
            key_id: key_id.to_owned(),
            import_token: self.token.clone().into(),
            encrypted_key_material: self.wrap(&[byte; 32]).into(),
            expiration_model: Some(model::ExpirationModelType::KeyMaterialDoesNotExpire),
            ..model::ImportKeyMaterialRequest::default()
        }
    }

    /// The same until a date.
    pub(crate) fn until(&self, key_id: &str, byte: u8, seconds: i64) -> model::ImportKeyMaterialRequest {
        model::ImportKeyMaterialRequest {
            expiration_model: None,
            valid_to: Some(Timestamp::from_unix(seconds, 0)),
            ..self.request(key_id, byte)
        }
    }

    /// The same as new material.
    pub(crate) fn new_material(&self, key_id: &str, byte: u8) -> model::ImportKeyMaterialRequest {
        model::ImportKeyMaterialRequest {
            import_type: Some(model::ImportType::NewKeyMaterial),
            ..self.request(key_id, byte)
        }
    }
}

/// Imports; the id of the material.
pub(crate) async fn import(kms: &Kms, request: model::ImportKeyMaterialRequest) -> Result<String, KmsError> {
    let done = ops::import_key_material::run(kms, &root(), request).await?;
    Ok(done.key_material_id.unwrap())
}

/// Deletes the material of this id, or the current one; the id of what was deleted.
pub(crate) async fn delete(kms: &Kms, key_id: &str, id: Option<&str>) -> Result<Option<String>, KmsError> {
    let input =
        model::DeleteImportedKeyMaterialRequest { key_id: key_id.to_owned(), key_material_id: id.map(str::to_owned) };
    Ok(ops::delete_imported_key_material::run(kms, &root(), input).await?.key_material_id)
}

/// A KMS key with material of 32 equal bytes; its id and the parameters it came with.
pub(crate) async fn imported(kms: &Kms, byte: u8) -> (String, Parameters) {
    let key = new_external(kms).await;
    let parameters = usual(kms, &key).await;
    import(kms, parameters.request(&key, byte)).await.unwrap();
    (key, parameters)
}
