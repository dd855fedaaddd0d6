//! What a request asks of a KMS key: whether the key knows the use and the algorithm, and what that is to the cipher. KMS developer guide, "Key spec
//! reference".

use crypto::{Hash, Oaep, PairKind, Scheme};

use crate::imported::wrong_origin;
use crate::kind::Kind;
use crate::record::{KeyRecord, Origin};
use crate::{KmsError, model};

/// How a key encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// AES-256-GCM in a ciphertext blob of ours.
    Symmetric,
    /// RSAES-OAEP: the ciphertext is the bare RSA ciphertext.
    Oaep(PairKind, Oaep),
}

impl Cipher {
    /// The algorithm of a request that the key must know; without one it is the symmetric one.
    pub(crate) fn of(
        key: &KeyRecord,
        action: &str,
        algorithm: Option<model::EncryptionAlgorithmSpec>,
    ) -> Result<Self, KmsError> {
        use model::EncryptionAlgorithmSpec as Name;
        let algorithm = algorithm.unwrap_or(Name::SymmetricDefault);
        match (key.kind, algorithm) {
            (Kind::Symmetric, Name::SymmetricDefault) => Ok(Self::Symmetric),
            (Kind::Encryption(pair), Name::RsaesOaepSha1) => Ok(Self::Oaep(pair, Oaep::Sha1)),
            (Kind::Encryption(pair), Name::RsaesOaepSha256) => Ok(Self::Oaep(pair, Oaep::Sha256)),
            (Kind::Symmetric | Kind::Encryption(_), other) => Err(wrong_algorithm(key, other.as_str())),
            (Kind::Signing(_) | Kind::Agreement(_) | Kind::Mac(_), _) => Err(wrong_usage(key, action)),
        }
    }

    /// Its name in the API.
    pub(crate) fn name(self) -> model::EncryptionAlgorithmSpec {
        match self {
            Self::Symmetric => model::EncryptionAlgorithmSpec::SymmetricDefault,
            Self::Oaep(_, Oaep::Sha1) => model::EncryptionAlgorithmSpec::RsaesOaepSha1,
            Self::Oaep(_, Oaep::Sha256) => model::EncryptionAlgorithmSpec::RsaesOaepSha256,
        }
    }
}

/// The signature scheme of an algorithm, if the key knows it.
pub(crate) fn scheme_of(
    key: &KeyRecord,
    action: &str,
    algorithm: model::SigningAlgorithmSpec,
) -> Result<(PairKind, Scheme), KmsError> {
    let Kind::Signing(pair) = key.kind else { return Err(wrong_usage(key, action)) };
    let known = key.kind.signing_algorithms().is_some_and(|known| known.contains(&algorithm));
    let scheme = scheme(algorithm).filter(|_| known);
    scheme.map(|scheme| (pair, scheme)).ok_or_else(|| wrong_algorithm(key, algorithm.as_str()))
}

/// The scheme of an algorithm; none for those that no key here knows.
pub(crate) fn scheme(algorithm: model::SigningAlgorithmSpec) -> Option<Scheme> {
    use model::SigningAlgorithmSpec as Name;
    Some(match algorithm {
        Name::RsassaPssSha256 => Scheme::RsaPss(Hash::Sha256),
        Name::RsassaPssSha384 => Scheme::RsaPss(Hash::Sha384),
        Name::RsassaPssSha512 => Scheme::RsaPss(Hash::Sha512),
        Name::RsassaPkcs1V15Sha256 => Scheme::RsaPkcs1(Hash::Sha256),
        Name::RsassaPkcs1V15Sha384 => Scheme::RsaPkcs1(Hash::Sha384),
        Name::RsassaPkcs1V15Sha512 => Scheme::RsaPkcs1(Hash::Sha512),
        Name::EcdsaSha256 => Scheme::Ecdsa(Hash::Sha256),
        Name::EcdsaSha384 => Scheme::Ecdsa(Hash::Sha384),
        Name::EcdsaSha512 => Scheme::Ecdsa(Hash::Sha512),
        Name::Ed25519Sha512 => Scheme::Ed25519,
        Name::Ed25519PhSha512 => Scheme::Ed25519Ph,
        Name::Sm2dsa | Name::MlDsaShake256 => return None,
    })
}

/// Checks that the key makes MACs by that algorithm.
pub(crate) fn check_mac(key: &KeyRecord, action: &str, algorithm: model::MacAlgorithmSpec) -> Result<(), KmsError> {
    match key.kind.mac_algorithms() {
        None => Err(wrong_usage(key, action)),
        Some(known) if known.contains(&algorithm) => Ok(()),
        Some(_) => Err(wrong_algorithm(key, algorithm.as_str())),
    }
}

/// InvalidKeyUsageException: the key is not made for this action.
pub(crate) fn wrong_usage(key: &KeyRecord, action: &str) -> KmsError {
    KmsError::InvalidKeyUsage(format!(
        "{} key usage is {} which is not valid for {action}.",
        key.arn(),
        key.kind.usage().as_str()
    ))
}

/// InvalidKeyUsageException: the key knows this use, but not by this algorithm.
pub(crate) fn wrong_algorithm(key: &KeyRecord, algorithm: &str) -> KmsError {
    KmsError::InvalidKeyUsage(format!(
        "Algorithm {algorithm} is incompatible with key spec {} of {}.",
        key.kind.spec().as_str(),
        key.arn()
    ))
}

/// UnsupportedOperationException: no key of this spec can do that, whatever its usage.
pub(crate) fn wrong_spec(key: &KeyRecord) -> KmsError {
    KmsError::Unsupported(format!(
        "{} key spec is {} which is not valid for this operation.",
        key.arn(),
        key.kind.spec().as_str()
    ))
}

/// Symmetric encryption keys only: data keys and rotation.
pub(crate) fn check_symmetric(key: &KeyRecord, action: &str) -> Result<(), KmsError> {
    match key.kind {
        Kind::Symmetric => Ok(()),
        // Its usage would do; it is the spec that does not.
        Kind::Encryption(_) => Err(wrong_algorithm(key, "SYMMETRIC_DEFAULT")),
        Kind::Signing(_) | Kind::Agreement(_) | Kind::Mac(_) => Err(wrong_usage(key, action)),
    }
}

/// KMS developer guide, "Rotating AWS KMS keys": symmetric encryption keys only.
pub(crate) fn check_rotates(key: &KeyRecord) -> Result<(), KmsError> {
    if key.kind.is_symmetric() { Ok(()) } else { Err(wrong_spec(key)) }
}

/// The same by the calendar: not with imported material, of which the next cannot be made here.
pub(crate) fn check_rotates_by_itself(key: &KeyRecord) -> Result<(), KmsError> {
    check_rotates(key)?;
    if key.origin == Origin::AwsKms { Ok(()) } else { Err(wrong_origin(key)) }
}
