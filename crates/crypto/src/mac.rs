//! HMAC with SHA-2 (RFC 2104, FIPS 198-1), by AWS-LC.

use aws_lc_rs::hmac;
use env::Env;
use zeroize::Zeroizing;

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MacKind {
    /// HMAC with SHA-224.
    Sha224,
    /// HMAC with SHA-256.
    Sha256,
    /// HMAC with SHA-384.
    Sha384,
    /// HMAC with SHA-512.
    Sha512,
}

/// An HMAC key: it cannot be printed or cloned and is wiped when it goes.
pub struct MacKey {
    kind: MacKind,
    bytes: Zeroizing<Vec<u8>>,
}

impl MacKind {
    /// Bytes of a key made here and of a MAC: as many as the hash has.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha224 => hmac::HMAC_SHA224,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

impl MacKey {
    /// A fresh key, as long as the hash: RFC 2104 section 3 advises against less and gains nothing by more.
    #[must_use]
    pub fn random(kind: MacKind, env: &Env) -> Self {
        let mut bytes = Zeroizing::new(vec![0; kind.bytes()]);
        env.fill(&mut bytes);
        Self { kind, bytes }
    }

    /// Takes the bytes of a key, of any length.
    #[must_use]
    pub fn new(kind: MacKind, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { kind, bytes }
    }

    /// The bytes themselves. Every call is a place to look at in review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// The MAC of a message, not truncated.
    #[must_use]
    pub fn mac(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.keyed(), message).as_ref().to_vec()
    }

    /// Whether `mac` is the whole MAC of the message, in a time that tells nothing of where it differs.
    #[must_use]
    pub fn verify(&self, message: &[u8], mac: &[u8]) -> bool {
        hmac::verify(&self.keyed(), message, mac).is_ok()
    }

    fn keyed(&self) -> hmac::Key {
        hmac::Key::new(self.kind.algorithm(), &self.bytes)
    }
}
