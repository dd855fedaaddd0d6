//! Signature schemes and what they sign.

use aws_lc_rs::digest::{self, Digest};

use crate::{PairError, PairKind};

/// The hash of a signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A signature scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PSS with MGF1 over the same hash and a salt of the hash's length, RFC 8017 section 8.1.
    RsaPss(Hash),
    /// RSASSA-PKCS1-v1_5, RFC 8017 section 8.2.
    RsaPkcs1(Hash),
    /// ECDSA, FIPS 186-5 section 6; each curve here has one hash.
    Ecdsa(Hash),
    /// Ed25519, RFC 8032 section 5.1.
    Ed25519,
    /// Ed25519ph with an empty context, RFC 8032 section 5.1: over the SHA-512 digest of the message.
    Ed25519Ph,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// The message itself.
    Raw(&'a [u8]),
    /// Its digest by the scheme's hash.
    Digest(&'a [u8]),
}

impl Scheme {
    /// Whether a key of that kind knows the scheme.
    pub(crate) fn check(self, kind: PairKind) -> Result<(), PairError> {
        let knows = match self {
            Self::RsaPss(_) | Self::RsaPkcs1(_) => kind.modulus_bytes().is_some(),
            Self::Ecdsa(Hash::Sha256) => matches!(kind, PairKind::P256 | PairKind::P256K1),
            Self::Ecdsa(Hash::Sha384) => kind == PairKind::P384,
            Self::Ecdsa(Hash::Sha512) => kind == PairKind::P521,
            Self::Ed25519 | Self::Ed25519Ph => kind == PairKind::Ed25519,
        };
        if knows { Ok(()) } else { Err(PairError::WrongKind) }
    }
}

impl Hash {
    /// Bytes of a digest.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(crate) fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    /// The digest that is signed.
    pub(crate) fn of(self, message: Message<'_>) -> Result<Digest, PairError> {
        match message {
            Message::Raw(bytes) => Ok(digest::digest(self.algorithm(), bytes)),
            Message::Digest(bytes) => {
                Digest::import_less_safe(bytes, self.algorithm()).map_err(|_| PairError::DigestLength)
            }
        }
    }
}

impl<'a> Message<'a> {
    /// The message itself, for a scheme that takes nothing else.
    pub(crate) fn raw(self) -> Result<&'a [u8], PairError> {
        match self {
            Self::Raw(bytes) => Ok(bytes),
            Self::Digest(_) => Err(PairError::WrongKind),
        }
    }

    /// The SHA-512 digest.
    pub(crate) fn sha512(self) -> Result<[u8; 64], PairError> {
        let digest = Hash::Sha512.of(self)?;
        digest.as_ref().try_into().map_err(|_| PairError::DigestLength)
    }
}
