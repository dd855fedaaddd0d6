//! What a KMS key is: its key spec, its key usage and what follows from the two. KMS API, CreateKey; KMS developer guide,
//! "Key spec reference".

use crypto::{MacKind, PairKind};
use serde::{Deserialize, Serialize};

use crate::{KmsError, model};

/// The allowed pairs of key spec and key usage. What is stored are the two names of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Names", into = "Names")]
pub(crate) enum Kind {
    /// SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT. Records from before there were other kinds say nothing and mean this.
    #[default]
    Symmetric,
    /// RSA, ENCRYPT_DECRYPT.
    Encryption(PairKind),
    /// RSA or an elliptic curve, SIGN_VERIFY.
    Signing(PairKind),
    /// A NIST curve, KEY_AGREEMENT.
    Agreement(PairKind),
    /// HMAC, GENERATE_VERIFY_MAC.
    Mac(MacKind),
}

#[derive(Serialize, Deserialize)]
struct Names {
    spec: model::KeySpec,
    usage: model::KeyUsageType,
}

impl From<Kind> for Names {
    fn from(kind: Kind) -> Self {
        Self { spec: kind.spec(), usage: kind.usage() }
    }
}

impl TryFrom<Names> for Kind {
    type Error = KmsError;

    fn try_from(names: Names) -> Result<Self, KmsError> {
        Self::new(names.spec, Some(names.usage))
    }
}

/// What material a key spec asks for.
enum Spec {
    Symmetric,
    Pair(PairKind),
    Mac(MacKind),
}

fn spec_of(spec: model::KeySpec) -> Option<Spec> {
    use model::KeySpec as Name;
    Some(match spec {
        Name::SymmetricDefault => Spec::Symmetric,
        Name::Rsa2048 => Spec::Pair(PairKind::Rsa2048),
        Name::Rsa3072 => Spec::Pair(PairKind::Rsa3072),
        Name::Rsa4096 => Spec::Pair(PairKind::Rsa4096),
        Name::EccNistP256 => Spec::Pair(PairKind::P256),
        Name::EccNistP384 => Spec::Pair(PairKind::P384),
        Name::EccNistP521 => Spec::Pair(PairKind::P521),
        Name::EccSecgP256k1 => Spec::Pair(PairKind::P256K1),
        Name::EccNistEdwards25519 => Spec::Pair(PairKind::Ed25519),
        Name::Hmac224 => Spec::Mac(MacKind::Sha224),
        Name::Hmac256 => Spec::Mac(MacKind::Sha256),
        Name::Hmac384 => Spec::Mac(MacKind::Sha384),
        Name::Hmac512 => Spec::Mac(MacKind::Sha512),
        Name::Sm2
        | Name::MlDsa44
        | Name::MlDsa65
        | Name::MlDsa87
        | Name::MlKem512
        | Name::MlKem768
        | Name::MlKem1024 => return None,
    })
}

/// Whether it is RSA.
fn is_rsa(pair: PairKind) -> bool {
    pair.modulus_bytes().is_some()
}

/// The key spec that a request asks for, by either of its two members.
pub(crate) fn requested_spec(
    spec: Option<model::KeySpec>,
    old: Option<model::CustomerMasterKeySpec>,
) -> Result<model::KeySpec, KmsError> {
    use model::{CustomerMasterKeySpec as Old, KeySpec as Name};
    match (spec, old) {
        (Some(_), Some(_)) => Err(KmsError::Validation(
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request.".to_owned(),
        )),
        (Some(spec), None) => Ok(spec),
        (None, None) => Ok(Name::SymmetricDefault),
        (None, Some(old)) => Ok(match old {
            Old::Rsa2048 => Name::Rsa2048,
            Old::Rsa3072 => Name::Rsa3072,
            Old::Rsa4096 => Name::Rsa4096,
            Old::EccNistP256 => Name::EccNistP256,
            Old::EccNistP384 => Name::EccNistP384,
            Old::EccNistP521 => Name::EccNistP521,
            Old::EccSecgP256k1 => Name::EccSecgP256k1,
            Old::SymmetricDefault => Name::SymmetricDefault,
            Old::Hmac224 => Name::Hmac224,
            Old::Hmac256 => Name::Hmac256,
            Old::Hmac384 => Name::Hmac384,
            Old::Hmac512 => Name::Hmac512,
            Old::Sm2 => Name::Sm2,
        }),
    }
}

impl Kind {
    /// The kind of that key spec and key usage. KMS API, CreateKey, `KeyUsage`: only a symmetric encryption key may leave
    /// the usage out.
    pub(crate) fn new(spec: model::KeySpec, usage: Option<model::KeyUsageType>) -> Result<Self, KmsError> {
        use model::KeyUsageType as Usage;
        let Some(found) = spec_of(spec) else {
            return Err(KmsError::Unsupported(format!("KeySpec {} is not supported.", spec.as_str())));
        };
        let usage = match (&found, usage) {
            (_, Some(usage)) => usage,
            (Spec::Symmetric, None) => Usage::EncryptDecrypt,
            (Spec::Pair(_) | Spec::Mac(_), None) => {
                return Err(KmsError::Validation(format!(
                    "You must specify a KeyUsage value for a KMS key of KeySpec {}.",
                    spec.as_str()
                )));
            }
        };
        match (found, usage) {
            (Spec::Symmetric, Usage::EncryptDecrypt) => Ok(Self::Symmetric),
            (Spec::Pair(pair), Usage::EncryptDecrypt) if is_rsa(pair) => Ok(Self::Encryption(pair)),
            (Spec::Pair(pair), Usage::SignVerify) => Ok(Self::Signing(pair)),
            (Spec::Pair(pair @ (PairKind::P256 | PairKind::P384 | PairKind::P521)), Usage::KeyAgreement) => {
                Ok(Self::Agreement(pair))
            }
            (Spec::Mac(mac), Usage::GenerateVerifyMac) => Ok(Self::Mac(mac)),
            (Spec::Symmetric | Spec::Pair(_) | Spec::Mac(_), usage) => Err(KmsError::Validation(format!(
                "KeyUsage {} is not compatible with KeySpec {}",
                usage.as_str(),
                spec.as_str()
            ))),
        }
    }

    /// The key spec.
    pub(crate) fn spec(self) -> model::KeySpec {
        match self {
            Self::Symmetric => model::KeySpec::SymmetricDefault,
            Self::Encryption(pair) | Self::Signing(pair) | Self::Agreement(pair) => match pair {
                PairKind::Rsa2048 => model::KeySpec::Rsa2048,
                PairKind::Rsa3072 => model::KeySpec::Rsa3072,
                PairKind::Rsa4096 => model::KeySpec::Rsa4096,
                PairKind::P256 => model::KeySpec::EccNistP256,
                PairKind::P384 => model::KeySpec::EccNistP384,
                PairKind::P521 => model::KeySpec::EccNistP521,
                PairKind::P256K1 => model::KeySpec::EccSecgP256k1,
                PairKind::Ed25519 => model::KeySpec::EccNistEdwards25519,
            },
            Self::Mac(mac) => match mac {
                MacKind::Sha224 => model::KeySpec::Hmac224,
                MacKind::Sha256 => model::KeySpec::Hmac256,
                MacKind::Sha384 => model::KeySpec::Hmac384,
                MacKind::Sha512 => model::KeySpec::Hmac512,
            },
        }
    }

    /// The key spec under its older name; newer specs have none.
    pub(crate) fn old_spec(self) -> Option<model::CustomerMasterKeySpec> {
        use model::CustomerMasterKeySpec as Old;
        match self {
            Self::Symmetric => Some(Old::SymmetricDefault),
            Self::Encryption(pair) | Self::Signing(pair) | Self::Agreement(pair) => match pair {
                PairKind::Rsa2048 => Some(Old::Rsa2048),
                PairKind::Rsa3072 => Some(Old::Rsa3072),
                PairKind::Rsa4096 => Some(Old::Rsa4096),
                PairKind::P256 => Some(Old::EccNistP256),
                PairKind::P384 => Some(Old::EccNistP384),
                PairKind::P521 => Some(Old::EccNistP521),
                PairKind::P256K1 => Some(Old::EccSecgP256k1),
                PairKind::Ed25519 => None,
            },
            Self::Mac(mac) => Some(match mac {
                MacKind::Sha224 => Old::Hmac224,
                MacKind::Sha256 => Old::Hmac256,
                MacKind::Sha384 => Old::Hmac384,
                MacKind::Sha512 => Old::Hmac512,
            }),
        }
    }

    /// The key usage.
    pub(crate) fn usage(self) -> model::KeyUsageType {
        match self {
            Self::Symmetric | Self::Encryption(_) => model::KeyUsageType::EncryptDecrypt,
            Self::Signing(_) => model::KeyUsageType::SignVerify,
            Self::Agreement(_) => model::KeyUsageType::KeyAgreement,
            Self::Mac(_) => model::KeyUsageType::GenerateVerifyMac,
        }
    }

    /// Whether it is a symmetric encryption key: the only kind that makes data keys and that rotates.
    pub(crate) fn is_symmetric(self) -> bool {
        self == Self::Symmetric
    }

    /// The key pair that its material is.
    pub(crate) fn pair(self) -> Option<PairKind> {
        match self {
            Self::Encryption(pair) | Self::Signing(pair) | Self::Agreement(pair) => Some(pair),
            Self::Symmetric | Self::Mac(_) => None,
        }
    }

    /// Whether an alias may move from a key of this kind to one of the other: same type, same usage. KMS API, UpdateAlias.
    pub(crate) fn is_like(self, other: Self) -> bool {
        self.pair().is_some() == other.pair().is_some() && self.usage() == other.usage()
    }

    /// KeyMetadata, `EncryptionAlgorithms`.
    pub(crate) fn encryption_algorithms(self) -> Option<Vec<model::EncryptionAlgorithmSpec>> {
        use model::EncryptionAlgorithmSpec as Name;
        match self {
            Self::Symmetric => Some(vec![Name::SymmetricDefault]),
            Self::Encryption(_) => Some(vec![Name::RsaesOaepSha1, Name::RsaesOaepSha256]),
            Self::Signing(_) | Self::Agreement(_) | Self::Mac(_) => None,
        }
    }

    /// KeyMetadata, `SigningAlgorithms`.
    pub(crate) fn signing_algorithms(self) -> Option<Vec<model::SigningAlgorithmSpec>> {
        use model::SigningAlgorithmSpec as Name;
        let Self::Signing(pair) = self else { return None };
        Some(match pair {
            PairKind::Rsa2048 | PairKind::Rsa3072 | PairKind::Rsa4096 => vec![
                Name::RsassaPkcs1V15Sha256,
                Name::RsassaPkcs1V15Sha384,
                Name::RsassaPkcs1V15Sha512,
                Name::RsassaPssSha256,
                Name::RsassaPssSha384,
                Name::RsassaPssSha512,
            ],
            PairKind::P256 | PairKind::P256K1 => vec![Name::EcdsaSha256],
            PairKind::P384 => vec![Name::EcdsaSha384],
            PairKind::P521 => vec![Name::EcdsaSha512],
            PairKind::Ed25519 => vec![Name::Ed25519Sha512, Name::Ed25519PhSha512],
        })
    }

    /// KeyMetadata, `MacAlgorithms`.
    pub(crate) fn mac_algorithms(self) -> Option<Vec<model::MacAlgorithmSpec>> {
        let Self::Mac(mac) = self else { return None };
        Some(vec![match mac {
            MacKind::Sha224 => model::MacAlgorithmSpec::HmacSha224,
            MacKind::Sha256 => model::MacAlgorithmSpec::HmacSha256,
            MacKind::Sha384 => model::MacAlgorithmSpec::HmacSha384,
            MacKind::Sha512 => model::MacAlgorithmSpec::HmacSha512,
        }])
    }

    /// KeyMetadata, `KeyAgreementAlgorithms`.
    pub(crate) fn key_agreement_algorithms(self) -> Option<Vec<model::KeyAgreementAlgorithmSpec>> {
        matches!(self, Self::Agreement(_)).then(|| vec![model::KeyAgreementAlgorithmSpec::Ecdh])
    }

    /// The operations that a grant on such a key may give. KMS developer guide, "Grant operations".
    pub(crate) fn grant_operations(self) -> &'static [&'static str] {
        match self {
            Self::Symmetric => &[
                "Decrypt",
                "Encrypt",
                "GenerateDataKey",
                "GenerateDataKeyWithoutPlaintext",
                "GenerateDataKeyPair",
                "GenerateDataKeyPairWithoutPlaintext",
                "ReEncryptFrom",
                "ReEncryptTo",
                "CreateGrant",
                "RetireGrant",
                "DescribeKey",
            ],
            Self::Encryption(_) => &[
                "Decrypt",
                "Encrypt",
                "ReEncryptFrom",
                "ReEncryptTo",
                "GetPublicKey",
                "CreateGrant",
                "RetireGrant",
                "DescribeKey",
            ],
            Self::Signing(_) => &["Sign", "Verify", "GetPublicKey", "CreateGrant", "RetireGrant", "DescribeKey"],
            Self::Agreement(_) => &["DeriveSharedSecret", "GetPublicKey", "CreateGrant", "RetireGrant", "DescribeKey"],
            Self::Mac(_) => &["GenerateMac", "VerifyMac", "CreateGrant", "RetireGrant", "DescribeKey"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{KeySpec as Spec, KeyUsageType as Usage};

    const USAGES: [Usage; 5] = [
        Usage::EncryptDecrypt,
        Usage::SignVerify,
        Usage::GenerateVerifyMac,
        Usage::KeyAgreement,
        Usage::EncapsulateDecapsulate,
    ];

    /// KMS API, CreateKey, `KeySpec` and `KeyUsage`: these go together and nothing else; names on disk and in the API lead
    /// back to the same kind.
    #[test]
    fn the_allowed_combinations_are_these() {
        let rows = [
            (Spec::SymmetricDefault, [true, false, false, false, false]),
            (Spec::Rsa2048, [true, true, false, false, false]),
            (Spec::Rsa3072, [true, true, false, false, false]),
            (Spec::Rsa4096, [true, true, false, false, false]),
            (Spec::EccNistP256, [false, true, false, true, false]),
            (Spec::EccNistP384, [false, true, false, true, false]),
            (Spec::EccNistP521, [false, true, false, true, false]),
            (Spec::EccSecgP256k1, [false, true, false, false, false]),
            (Spec::EccNistEdwards25519, [false, true, false, false, false]),
            (Spec::Hmac224, [false, false, true, false, false]),
            (Spec::Hmac256, [false, false, true, false, false]),
            (Spec::Hmac384, [false, false, true, false, false]),
            (Spec::Hmac512, [false, false, true, false, false]),
        ];
        for (spec, allowed) in rows {
            for (usage, allowed) in USAGES.into_iter().zip(allowed) {
                let made = Kind::new(spec, Some(usage));
                assert_eq!(made.is_ok(), allowed, "{spec:?} {usage:?}");
                let Ok(kind) = made else { continue };
                assert_eq!((kind.spec(), kind.usage()), (spec, usage));
                let json = serde_json::to_string(&kind).unwrap();
                assert_eq!(json, format!(r#"{{"spec":"{}","usage":"{}"}}"#, spec.as_str(), usage.as_str()));
                assert_eq!(serde_json::from_str::<Kind>(&json).unwrap(), kind);
            }
        }
        for spec in [Spec::Sm2, Spec::MlDsa44, Spec::MlDsa65, Spec::MlDsa87, Spec::MlKem512, Spec::MlKem768] {
            for usage in USAGES {
                assert!(matches!(Kind::new(spec, Some(usage)), Err(KmsError::Unsupported(_))));
            }
        }
        let odd = r#"{"spec":"RSA_2048","usage":"GENERATE_VERIFY_MAC"}"#;
        assert!(serde_json::from_str::<Kind>(odd).is_err());
    }
}
