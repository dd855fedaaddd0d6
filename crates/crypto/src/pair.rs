//! Key pairs: a private key as PKCS#8 (RFC 5208) that wipes itself, and its public key as SubjectPublicKeyInfo (RFC 5280).
//!
//! A private key is parsed for each use and the parsed form is gone, wiped by AWS-LC, when the use is over. All of it
//! takes from some 50 microseconds to seconds (making an RSA pair): callers keep it away from threads that must not wait.

use zeroize::Zeroizing;

use crate::signature::{Message, Scheme};
use crate::{ecc, eddsa, rsa};

/// No PKCS#8 document or public key of a kind below comes near this; longer ones are refused unread.
const DER_BYTES_MAX: usize = 8192;

/// The kinds of key pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PairKind {
    /// RSA with a modulus of 2,048 bits.
    Rsa2048,
    /// RSA with a modulus of 3,072 bits.
    Rsa3072,
    /// RSA with a modulus of 4,096 bits.
    Rsa4096,
    /// NIST curve P-256 (secp256r1).
    P256,
    /// NIST curve P-384 (secp384r1).
    P384,
    /// NIST curve P-521 (secp521r1).
    P521,
    /// The curve secp256k1 of SEC 2.
    P256K1,
    /// Edwards curve 25519, RFC 8032.
    Ed25519,
}

/// Why an operation with a key pair did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// Bytes that are no key of the kind that was asked for.
    #[error("the bytes are no key of this kind")]
    Malformed,
    /// The kind of key cannot do this.
    #[error("this kind of key cannot do that")]
    WrongKind,
    /// A digest that has not the length of the scheme's hash.
    #[error("the digest has not the length of the scheme's hash")]
    DigestLength,
    /// More bytes than the key can encrypt at once.
    #[error("the key cannot encrypt so many bytes")]
    TooLong,
    /// The signature is not one of this message under this key.
    #[error("the signature does not verify")]
    BadSignature,
    /// The ciphertext does not open. It says no more on purpose.
    #[error("the ciphertext does not open")]
    OpenFailed,
    /// The library refused what should work, or the random source failed.
    #[error("the cryptographic library failed")]
    Failed,
}

/// A private key: it cannot be printed or cloned and is wiped when it goes.
pub struct PrivateKey {
    kind: PairKind,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl PrivateKey {
    /// A fresh key pair. RSA takes up to seconds.
    ///
    /// # Errors
    /// [`PairError::Failed`] when the library fails.
    pub fn generate(kind: PairKind) -> Result<Self, PairError> {
        let pkcs8 = match kind {
            PairKind::Rsa2048 | PairKind::Rsa3072 | PairKind::Rsa4096 => rsa::generate(kind)?,
            PairKind::P256 | PairKind::P384 | PairKind::P521 | PairKind::P256K1 => ecc::generate(kind)?,
            PairKind::Ed25519 => eddsa::generate()?,
        };
        Ok(Self { kind, pkcs8 })
    }

    /// Takes an unencrypted PKCS#8 document, which must hold a key of that kind.
    ///
    /// # Errors
    /// [`PairError::Malformed`] for anything else.
    pub fn from_pkcs8(kind: PairKind, pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, PairError> {
        if pkcs8.len() > DER_BYTES_MAX {
            return Err(PairError::Malformed);
        }
        let key = Self { kind, pkcs8 };
        key.public_key().map_err(|_| PairError::Malformed)?;
        Ok(key)
    }

    /// Takes a document that [`PrivateKey::generate`] made and that was kept under a seal since. It is read at its first
    /// use, not now.
    #[must_use]
    pub fn from_sealed(kind: PairKind, pkcs8: Zeroizing<Vec<u8>>) -> Self {
        Self { kind, pkcs8 }
    }

    /// Which kind of key it is.
    #[must_use]
    pub fn kind(&self) -> PairKind {
        self.kind
    }

    /// The PKCS#8 document. Every call is a place to look at in review.
    #[must_use]
    pub fn expose_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half.
    ///
    /// # Errors
    /// [`PairError::Malformed`] when this is no private key of its kind.
    pub fn public_key(&self) -> Result<PublicKey, PairError> {
        let spki = match self.kind {
            PairKind::Rsa2048 | PairKind::Rsa3072 | PairKind::Rsa4096 => rsa::public_key(self.kind, &self.pkcs8)?,
            PairKind::P256 | PairKind::P384 | PairKind::P521 | PairKind::P256K1 => {
                ecc::public_key(self.kind, &self.pkcs8)?
            }
            PairKind::Ed25519 => eddsa::public_key(&self.pkcs8)?,
        };
        Ok(PublicKey { kind: self.kind, spki })
    }

    /// Signs. RSA signatures are as long as the modulus, ECDSA ones are ASN.1 DER (RFC 3279), Ed25519 ones have 64 bytes.
    ///
    /// # Errors
    /// [`PairError::WrongKind`] when the scheme is not one of the key's, [`PairError::DigestLength`] for a digest of the
    /// wrong length, [`PairError::Malformed`] and [`PairError::Failed`] when the key or the library is damaged.
    pub fn sign(&self, scheme: Scheme, message: Message<'_>) -> Result<Vec<u8>, PairError> {
        scheme.check(self.kind)?;
        match scheme {
            Scheme::RsaPss(hash) | Scheme::RsaPkcs1(hash) => {
                rsa::sign(&self.pkcs8, matches!(scheme, Scheme::RsaPss(_)), hash, &hash.of(message)?)
            }
            Scheme::Ecdsa(hash) => ecc::sign(self.kind, &self.pkcs8, &hash.of(message)?),
            Scheme::Ed25519 => eddsa::sign(&self.pkcs8, message.raw()?),
            Scheme::Ed25519Ph => eddsa::sign_prehashed(&self.pkcs8, &message.sha512()?),
        }
    }

    /// Decrypts with RSAES-OAEP (RFC 8017 section 7.1), MGF1 over the same hash, no label.
    ///
    /// # Errors
    /// [`PairError::OpenFailed`] whatever is wrong with the ciphertext, [`PairError::WrongKind`] when this is no RSA key.
    pub fn decrypt(&self, oaep: Oaep, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
        match self.kind {
            PairKind::Rsa2048 | PairKind::Rsa3072 | PairKind::Rsa4096 => rsa::decrypt(&self.pkcs8, oaep, ciphertext),
            _ => Err(PairError::WrongKind),
        }
    }

    /// The raw shared secret with a peer's public key: the x-coordinate, as long as the field (SP 800-56A section 5.7.1.2).
    ///
    /// # Errors
    /// [`PairError::Malformed`] when `peer` is no SubjectPublicKeyInfo of a valid point on this key's curve,
    /// [`PairError::WrongKind`] when this key is on no NIST curve, [`PairError::Failed`] when this key is damaged.
    pub fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
        if peer.len() > DER_BYTES_MAX {
            return Err(PairError::Malformed);
        }
        ecc::agree(self.kind, &self.pkcs8, peer)
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: PairKind,
    spki: Vec<u8>,
}

impl PublicKey {
    /// A SubjectPublicKeyInfo that is known to hold a key of that kind; a use with another fails.
    #[must_use]
    pub fn from_spki(kind: PairKind, spki: Vec<u8>) -> Self {
        Self { kind, spki }
    }

    /// The SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn as_spki(&self) -> &[u8] {
        &self.spki
    }

    /// Verifies what [`PrivateKey::sign`] makes.
    ///
    /// # Errors
    /// [`PairError::BadSignature`] when it is no signature of this message under this key; [`PairError::WrongKind`] and
    /// [`PairError::DigestLength`] as for signing.
    pub fn verify(&self, scheme: Scheme, message: Message<'_>, signature: &[u8]) -> Result<(), PairError> {
        scheme.check(self.kind)?;
        match scheme {
            Scheme::RsaPss(hash) | Scheme::RsaPkcs1(hash) => {
                rsa::verify(&self.spki, matches!(scheme, Scheme::RsaPss(_)), hash, &hash.of(message)?, signature)
            }
            Scheme::Ecdsa(hash) => ecc::verify(self.kind, &self.spki, &hash.of(message)?, signature),
            Scheme::Ed25519 => eddsa::verify(&self.spki, message.raw()?, signature),
            Scheme::Ed25519Ph => eddsa::verify_prehashed(&self.spki, &message.sha512()?, signature),
        }
    }

    /// Encrypts with RSAES-OAEP (RFC 8017 section 7.1), MGF1 over the same hash, no label.
    ///
    /// # Errors
    /// [`PairError::TooLong`] beyond [`PairKind::oaep_bytes_max`], [`PairError::WrongKind`] when this is no RSA key.
    pub fn encrypt(&self, oaep: Oaep, plaintext: &[u8]) -> Result<Vec<u8>, PairError> {
        let most = self.kind.oaep_bytes_max(oaep).ok_or(PairError::WrongKind)?;
        if plaintext.len() > most {
            return Err(PairError::TooLong);
        }
        rsa::encrypt(&self.spki, oaep, plaintext)
    }
}

/// The hash of RSAES-OAEP and of its mask generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oaep {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl PairKind {
    /// Bytes of an RSA modulus; none for other keys.
    #[must_use]
    pub fn modulus_bytes(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(256),
            Self::Rsa3072 => Some(384),
            Self::Rsa4096 => Some(512),
            Self::P256 | Self::P384 | Self::P521 | Self::P256K1 | Self::Ed25519 => None,
        }
    }

    /// The longest plaintext that an RSA key of this kind takes: k - 2hLen - 2, RFC 8017 section 7.1.1. None for others.
    #[must_use]
    pub fn oaep_bytes_max(self, oaep: Oaep) -> Option<usize> {
        let hash = match oaep {
            Oaep::Sha1 => 20,
            Oaep::Sha256 => 32,
        };
        Some(self.modulus_bytes()? - 2 * hash - 2)
    }
}
