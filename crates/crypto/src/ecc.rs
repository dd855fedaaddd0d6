//! Elliptic curves by AWS-LC: ECDSA (FIPS 186-5) on the NIST curves and secp256k1, ECDH (SP 800-56A) on the NIST curves.

use aws_lc_rs::agreement::{self, ParsedPublicKey, ParsedPublicKeyFormat};
use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1, ECDSA_P256K1_SHA256_ASN1_SIGNING,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _, UnparsedPublicKey,
};
use zeroize::Zeroizing;

use crate::{PairError, PairKind};

fn signing(kind: PairKind) -> Result<&'static EcdsaSigningAlgorithm, PairError> {
    match kind {
        PairKind::P256 => Ok(&ECDSA_P256_SHA256_ASN1_SIGNING),
        PairKind::P384 => Ok(&ECDSA_P384_SHA384_ASN1_SIGNING),
        PairKind::P521 => Ok(&ECDSA_P521_SHA512_ASN1_SIGNING),
        PairKind::P256K1 => Ok(&ECDSA_P256K1_SHA256_ASN1_SIGNING),
        PairKind::Rsa2048 | PairKind::Rsa3072 | PairKind::Rsa4096 | PairKind::Ed25519 => Err(PairError::WrongKind),
    }
}

fn verifying(kind: PairKind) -> Result<&'static EcdsaVerificationAlgorithm, PairError> {
    match kind {
        PairKind::P256 => Ok(&ECDSA_P256_SHA256_ASN1),
        PairKind::P384 => Ok(&ECDSA_P384_SHA384_ASN1),
        PairKind::P521 => Ok(&ECDSA_P521_SHA512_ASN1),
        PairKind::P256K1 => Ok(&ECDSA_P256K1_SHA256_ASN1),
        PairKind::Rsa2048 | PairKind::Rsa3072 | PairKind::Rsa4096 | PairKind::Ed25519 => Err(PairError::WrongKind),
    }
}

fn agreeing(kind: PairKind) -> Result<&'static agreement::Algorithm, PairError> {
    match kind {
        PairKind::P256 => Ok(&agreement::ECDH_P256),
        PairKind::P384 => Ok(&agreement::ECDH_P384),
        PairKind::P521 => Ok(&agreement::ECDH_P521),
        PairKind::P256K1 | PairKind::Rsa2048 | PairKind::Rsa3072 | PairKind::Rsa4096 | PairKind::Ed25519 => {
            Err(PairError::WrongKind)
        }
    }
}

/// A fresh key as PKCS#8.
pub(crate) fn generate(kind: PairKind) -> Result<Zeroizing<Vec<u8>>, PairError> {
    let key = EcdsaKeyPair::generate(signing(kind)?).map_err(|_| PairError::Failed)?;
    let pkcs8 = key.to_pkcs8v1().map_err(|_| PairError::Failed)?;
    Ok(Zeroizing::new(pkcs8.as_ref().to_vec()))
}

fn parse(kind: PairKind, pkcs8: &[u8]) -> Result<EcdsaKeyPair, PairError> {
    EcdsaKeyPair::from_pkcs8(signing(kind)?, pkcs8).map_err(|_| PairError::Malformed)
}

pub(crate) fn public_key(kind: PairKind, pkcs8: &[u8]) -> Result<Vec<u8>, PairError> {
    let key = parse(kind, pkcs8)?;
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| PairError::Failed)?;
    Ok(spki.as_ref().to_vec())
}

pub(crate) fn sign(kind: PairKind, pkcs8: &[u8], digest: &Digest) -> Result<Vec<u8>, PairError> {
    let signed = parse(kind, pkcs8)?.sign_digest(digest).map_err(|_| PairError::Failed)?;
    Ok(signed.as_ref().to_vec())
}

pub(crate) fn verify(kind: PairKind, spki: &[u8], digest: &Digest, signed: &[u8]) -> Result<(), PairError> {
    let key = UnparsedPublicKey::new(verifying(kind)?, spki);
    key.verify_digest(digest, signed).map_err(|_| PairError::BadSignature)
}

pub(crate) fn agree(kind: PairKind, pkcs8: &[u8], peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
    let algorithm = agreeing(kind)?;
    // AWS-LC takes bare points and bytes behind the document too; the one form asked for here says which curve it is on.
    if !is_whole(peer) {
        return Err(PairError::Malformed);
    }
    let peer = ParsedPublicKey::try_from(agreement::UnparsedPublicKey::new(algorithm, peer));
    let peer = peer.map_err(|_| PairError::Malformed)?;
    if peer.format() != ParsedPublicKeyFormat::X509 {
        return Err(PairError::Malformed);
    }
    let key = agreement::PrivateKey::from_private_key_der(algorithm, pkcs8).map_err(|_| PairError::Failed)?;
    agreement::agree(&key, peer, PairError::Malformed, |secret| Ok(Zeroizing::new(secret.to_vec())))
}

/// Whether the bytes are one DER sequence and nothing behind it.
fn is_whole(der: &[u8]) -> bool {
    let Some(([0x30, first], rest)) = der.split_first_chunk::<2>() else { return false };
    match (*first, rest) {
        (short @ 0..=0x7f, body) => body.len() == usize::from(short),
        (0x81, [length @ 0x80..=0xff, body @ ..]) => body.len() == usize::from(*length),
        _ => false,
    }
}
