//! RSA by AWS-LC: RSASSA-PSS, RSASSA-PKCS1-v1_5 and RSAES-OAEP of RFC 8017.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{
    self, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, UnparsedPublicKey,
};
use zeroize::Zeroizing;

use crate::{Hash, Oaep, PairError, PairKind};

/// A fresh key as PKCS#8; the public exponent is 65,537.
pub(crate) fn generate(kind: PairKind) -> Result<Zeroizing<Vec<u8>>, PairError> {
    let size = match kind {
        PairKind::Rsa2048 => KeySize::Rsa2048,
        PairKind::Rsa3072 => KeySize::Rsa3072,
        PairKind::Rsa4096 => KeySize::Rsa4096,
        PairKind::P256 | PairKind::P384 | PairKind::P521 | PairKind::P256K1 | PairKind::Ed25519 => {
            return Err(PairError::WrongKind);
        }
    };
    let key = PrivateDecryptingKey::generate(size).map_err(|_| PairError::Failed)?;
    let pkcs8: Pkcs8V1Der<'_> = key.as_der().map_err(|_| PairError::Failed)?;
    Ok(Zeroizing::new(pkcs8.as_ref().to_vec()))
}

/// The public key of a private key of exactly that size.
pub(crate) fn public_key(kind: PairKind, pkcs8: &[u8]) -> Result<Vec<u8>, PairError> {
    let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| PairError::Malformed)?;
    if kind.modulus_bytes().map(|bytes| bytes * 8) != Some(key.key_size_bits()) {
        return Err(PairError::Malformed);
    }
    let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| PairError::Failed)?;
    Ok(spki.as_ref().to_vec())
}

pub(crate) fn sign(pkcs8: &[u8], pss: bool, hash: Hash, digest: &Digest) -> Result<Vec<u8>, PairError> {
    let encoding: &'static dyn RsaEncoding = match (pss, hash) {
        (true, Hash::Sha256) => &RSA_PSS_SHA256,
        (true, Hash::Sha384) => &RSA_PSS_SHA384,
        (true, Hash::Sha512) => &RSA_PSS_SHA512,
        (false, Hash::Sha256) => &RSA_PKCS1_SHA256,
        (false, Hash::Sha384) => &RSA_PKCS1_SHA384,
        (false, Hash::Sha512) => &RSA_PKCS1_SHA512,
    };
    let key = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| PairError::Malformed)?;
    let mut signed = vec![0; key.public_modulus_len()];
    key.sign_digest(encoding, digest, &mut signed).map_err(|_| PairError::Failed)?;
    Ok(signed)
}

pub(crate) fn verify(spki: &[u8], pss: bool, hash: Hash, digest: &Digest, signed: &[u8]) -> Result<(), PairError> {
    let algorithm: &'static dyn signature::VerificationAlgorithm = match (pss, hash) {
        (true, Hash::Sha256) => &RSA_PSS_2048_8192_SHA256,
        (true, Hash::Sha384) => &RSA_PSS_2048_8192_SHA384,
        (true, Hash::Sha512) => &RSA_PSS_2048_8192_SHA512,
        (false, Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
        (false, Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
        (false, Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
    };
    let key = UnparsedPublicKey::new(algorithm, spki);
    key.verify_digest(digest, signed).map_err(|_| PairError::BadSignature)
}

pub(crate) fn encrypt(spki: &[u8], oaep: Oaep, plaintext: &[u8]) -> Result<Vec<u8>, PairError> {
    let key = PublicEncryptingKey::from_der(spki).map_err(|_| PairError::Malformed)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| PairError::Failed)?;
    let mut room = vec![0; key.ciphertext_size()];
    let sealed = key.encrypt(algorithm(oaep), plaintext, &mut room, None).map_err(|_| PairError::Failed)?;
    Ok(sealed.to_vec())
}

pub(crate) fn decrypt(pkcs8: &[u8], oaep: Oaep, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
    let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| PairError::Malformed)?;
    let key = OaepPrivateDecryptingKey::new(key).map_err(|_| PairError::Failed)?;
    // RFC 8017 section 7.1.2, step 1c: another length is an error before anything is computed.
    if ciphertext.len() != key.key_size_bytes() {
        return Err(PairError::OpenFailed);
    }
    let mut plaintext = Zeroizing::new(vec![0; key.min_output_size()]);
    let opened = key.decrypt(algorithm(oaep), ciphertext, &mut plaintext, None).map_err(|_| PairError::OpenFailed)?;
    let length = opened.len();
    plaintext.truncate(length);
    Ok(plaintext)
}

fn algorithm(oaep: Oaep) -> &'static OaepAlgorithm {
    match oaep {
        Oaep::Sha1 => &OAEP_SHA1_MGF1SHA1,
        Oaep::Sha256 => &OAEP_SHA256_MGF1SHA256,
    }
}
