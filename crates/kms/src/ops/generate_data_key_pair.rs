//! GenerateDataKeyPair: a fresh key pair, its private key in the clear and under a KMS key. KMS API, GenerateDataKeyPair.

use aws_wire::{Blob, CallContext, SecretBlob};
use crypto::{PairKind, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use super::decrypt::refuse_recipient;
use super::encrypt::{context_of, dry};
use crate::algorithm::check_symmetric;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, facts, model};

/// GenerateDataKeyPair.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::GenerateDataKeyPairRequest,
) -> Result<model::GenerateDataKeyPairResponse, KmsError> {
    refuse_recipient(input.recipient.is_some())?;
    let context = context_of(input.encryption_context)?;
    kms.check_grant_tokens(input.grant_tokens.as_deref())?;
    let (action, spec) = (Action::GenerateDataKeyPair, input.key_pair_spec);
    let made = make(kms, cx, action, &input.key_id, spec, &context, input.dry_run).await?;
    let plaintext = Zeroizing::new(made.private.expose_pkcs8().to_vec());
    Ok(model::GenerateDataKeyPairResponse {
        key_id: Some(made.key_arn),
        key_material_id: Some(made.version),
        key_pair_spec: Some(input.key_pair_spec),
        private_key_ciphertext_blob: Some(Blob(made.blob)),
        private_key_plaintext: Some(SecretBlob(plaintext)),
        public_key: Some(Blob(made.public.as_spki().to_vec())),
        ..model::GenerateDataKeyPairResponse::default()
    })
}

/// A fresh data key pair.
pub(crate) struct Made {
    pub(crate) private: PrivateKey,
    pub(crate) public: PublicKey,
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
    spec: model::DataKeyPairSpec,
    context: &EncryptionContext,
    dry_run: Option<bool>,
) -> Result<Made, KmsError> {
    let name = match action {
        Action::GenerateDataKeyPair => "GenerateDataKeyPair",
        _ => "GenerateDataKeyPairWithoutPlaintext",
    };
    let pair = pair_of(spec)?;
    let facts = || facts::of_data_key_pair(cx, key_id, spec);
    let key = kms.find(cx, key_id, Spelling::KeyOrAlias).await?;
    kms.allow_with(cx, &key, name, context, facts())?;
    check_symmetric(&key, name)?;
    state_table::check(action, &key)?;
    dry(dry_run)?;
    let (private, public) = kms.new_pair(pair).await?;
    // That took a while; what became of the key meanwhile counts.
    let key = kms.find_id(&key.account, &key.region, &key.id)?;
    kms.allow_with(cx, &key, name, context, facts())?;
    state_table::check(action, &key)?;
    let (blob, version) = kms.encrypt_under(&key, context, private.expose_pkcs8())?;
    Ok(Made { private, public, blob, key_arn: key.arn(), version })
}

/// The kind of key pair that a request asks for.
fn pair_of(spec: model::DataKeyPairSpec) -> Result<PairKind, KmsError> {
    use model::DataKeyPairSpec as Name;
    Ok(match spec {
        Name::Rsa2048 => PairKind::Rsa2048,
        Name::Rsa3072 => PairKind::Rsa3072,
        Name::Rsa4096 => PairKind::Rsa4096,
        Name::EccNistP256 => PairKind::P256,
        Name::EccNistP384 => PairKind::P384,
        Name::EccNistP521 => PairKind::P521,
        Name::EccSecgP256k1 => PairKind::P256K1,
        Name::EccNistEdwards25519 => PairKind::Ed25519,
        Name::Sm2 | Name::MlKem512 | Name::MlKem768 | Name::MlKem1024 => {
            return Err(KmsError::Unsupported(format!("KeyPairSpec {} is not supported.", spec.as_str())));
        }
    })
}
