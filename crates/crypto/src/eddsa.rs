//! Ed25519 and Ed25519ph of RFC 8032, by AWS-LC.
//!
//! The safe interface has no Ed25519ph, so that one goes to the library's C functions, here and nowhere else.
#![expect(unsafe_code, reason = "Ed25519ph has no safe interface")]

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, Curve25519SeedBin, PublicKeyX509Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::PairError;

const POINT_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
/// SubjectPublicKeyInfo of Ed25519 up to the key itself: RFC 8410 section 4.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A fresh key as PKCS#8, RFC 8410 section 7.
pub(crate) fn generate() -> Result<Zeroizing<Vec<u8>>, PairError> {
    let key = Ed25519KeyPair::generate().map_err(|_| PairError::Failed)?;
    let pkcs8 = key.to_pkcs8v1().map_err(|_| PairError::Failed)?;
    Ok(Zeroizing::new(pkcs8.as_ref().to_vec()))
}

fn parse(pkcs8: &[u8]) -> Result<Ed25519KeyPair, PairError> {
    Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| PairError::Malformed)
}

pub(crate) fn public_key(pkcs8: &[u8]) -> Result<Vec<u8>, PairError> {
    let key = parse(pkcs8)?;
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| PairError::Failed)?;
    Ok(spki.as_ref().to_vec())
}

pub(crate) fn sign(pkcs8: &[u8], message: &[u8]) -> Result<Vec<u8>, PairError> {
    let signed = parse(pkcs8)?.try_sign(message).map_err(|_| PairError::Failed)?;
    Ok(signed.as_ref().to_vec())
}

pub(crate) fn verify(spki: &[u8], message: &[u8], signed: &[u8]) -> Result<(), PairError> {
    let point = point(spki)?;
    UnparsedPublicKey::new(&ED25519, point).verify(message, signed).map_err(|_| PairError::BadSignature)
}

/// The key itself, out of its SubjectPublicKeyInfo.
fn point(spki: &[u8]) -> Result<&[u8; POINT_BYTES], PairError> {
    let point = spki.strip_prefix(SPKI_PREFIX.as_slice()).ok_or(PairError::Malformed)?;
    point.try_into().map_err(|_| PairError::Malformed)
}

pub(crate) fn sign_prehashed(pkcs8: &[u8], digest: &[u8; 64]) -> Result<Vec<u8>, PairError> {
    let key = parse(pkcs8)?;
    let seed = key.seed().map_err(|_| PairError::Failed)?;
    let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(|_| PairError::Failed)?;
    // The library's private key is the seed with the public key behind it.
    let mut private = Zeroizing::new([0; 64]);
    for (to, from) in private.iter_mut().zip(seed.as_ref().iter().chain(key.public_key().as_ref())) {
        *to = *from;
    }
    let mut signed = [0; SIGNATURE_BYTES];
    // SAFETY: the function writes 64 bytes to its first argument and reads 64 bytes each from the second and third; the
    // context is empty, and a null pointer with length zero is how the library takes that.
    let done = unsafe {
        aws_lc_sys::ED25519ph_sign_digest(signed.as_mut_ptr(), digest.as_ptr(), private.as_ptr(), std::ptr::null(), 0)
    };
    if done == 1 { Ok(signed.to_vec()) } else { Err(PairError::Failed) }
}

pub(crate) fn verify_prehashed(spki: &[u8], digest: &[u8; 64], signed: &[u8]) -> Result<(), PairError> {
    let point = point(spki)?;
    let signed: &[u8; SIGNATURE_BYTES] = signed.try_into().map_err(|_| PairError::BadSignature)?;
    // SAFETY: the function reads 64, 64 and 32 bytes from its first three arguments, which have these lengths; the
    // context is empty as above.
    let valid = unsafe {
        aws_lc_sys::ED25519ph_verify_digest(digest.as_ptr(), signed.as_ptr(), point.as_ptr(), std::ptr::null(), 0)
    };
    if valid == 1 { Ok(()) } else { Err(PairError::BadSignature) }
}
