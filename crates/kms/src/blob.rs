//! The ciphertext blob, format version 1. Opaque to callers; docs/on-disk-format.md has the table.
//!
//! A blob names its KMS key and the version that made it, so rotation is invisible; the header is authenticated
//! together with the encryption context; each message has a key of its own.

use crypto::{Key, Label, Salt, TAG_BYTES, Tag};
use env::Env;
use zeroize::Zeroizing;

use crate::{EncryptionContext, KmsError};

const VERSION: u8 = 1;
/// AES-256-GCM under HKDF-SHA-256 of (key version, salt): the only algorithm of this format so far.
const ALGORITHM: u8 = 1;
const HEADER_BYTES: usize = 2 + 16 + 16 + 16;
const MESSAGE: Label = Label::new("kms/message");

/// The sixteen bytes of a key id's UUID.
pub(crate) type KeyTag = [u8; 16];
/// The first sixteen bytes of a key-material id.
pub(crate) type VersionTag = [u8; 16];

/// The parts of a blob that was read and not yet opened.
pub(crate) struct Blob<'a> {
    pub(crate) key: KeyTag,
    pub(crate) version: VersionTag,
    salt: Salt,
    header: &'a [u8],
    ciphertext: &'a [u8],
    tag: Tag,
}

impl<'a> Blob<'a> {
    /// Reads the header. A failure is the same error as a seal that does not open.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, KmsError> {
        Self::split(bytes).ok_or(KmsError::InvalidCiphertext)
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (header, sealed) = bytes.split_at_checked(HEADER_BYTES)?;
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
        let ([version, algorithm], rest) = header.split_first_chunk::<2>()?;
        if (*version, *algorithm) != (VERSION, ALGORITHM) || ciphertext.is_empty() {
            return None;
        }
        let (key, rest) = rest.split_first_chunk::<16>()?;
        let (version, rest) = rest.split_first_chunk::<16>()?;
        let (salt, _) = rest.split_first_chunk::<16>()?;
        Some(Self { key: *key, version: *version, salt: *salt, header, ciphertext, tag: *tag })
    }

    /// Opens the message with the key version that the header names.
    pub(crate) fn open(&self, material: &Key, context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        let mut plaintext = Zeroizing::new(self.ciphertext.to_vec());
        material
            .subkey(MESSAGE, &self.salt)
            .open_in_place(0, &associated(self.header, context), &mut plaintext, &self.tag)
            .map_err(|_| KmsError::InvalidCiphertext)?;
        Ok(plaintext)
    }
}

/// Seals `plaintext` under a version of a KMS key.
pub(crate) fn seal(
    key: &KeyTag,
    version: &VersionTag,
    material: &Key,
    context: &EncryptionContext,
    plaintext: &[u8],
    env: &Env,
) -> Vec<u8> {
    let salt: Salt = env.random();
    let mut blob = Vec::with_capacity(HEADER_BYTES + plaintext.len() + TAG_BYTES);
    blob.extend_from_slice(&[VERSION, ALGORITHM]);
    for part in [key, version, &salt] {
        blob.extend_from_slice(part);
    }
    let aad = associated(&blob, context);
    blob.resize(HEADER_BYTES + plaintext.len(), 0);
    let (_, ciphertext) = blob.split_at_mut(HEADER_BYTES);
    let tag = material.subkey(MESSAGE, &salt).seal_into(0, &aad, plaintext, ciphertext);
    blob.extend_from_slice(&tag);
    blob
}

fn associated(header: &[u8], context: &EncryptionContext) -> Vec<u8> {
    let mut aad = header.to_vec();
    context.append_canonical(&mut aad);
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        EncryptionContext::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).unwrap()
    }

    fn material(byte: u8) -> Key {
        Key::take(&mut [byte; 32]).unwrap()
    }

    /// KMS API, Decrypt: what Encrypt made opens with the same context, in any order of its pairs.
    #[test]
    fn a_message_opens_with_its_context_in_any_order() {
        let (env, _simulation) = Env::simulated(1);
        let made = context(&[("a", "1"), ("b", "2")]);
        let blob = seal(&[1; 16], &[2; 16], &material(9), &made, b"secret", &env);
        let parsed = Blob::parse(&blob).unwrap();
        assert_eq!((parsed.key, parsed.version), ([1; 16], [2; 16]));
        let given = context(&[("b", "2"), ("a", "1")]);
        assert_eq!(parsed.open(&material(9), &given).unwrap().as_slice(), b"secret");
    }

    /// KMS API, Decrypt, InvalidCiphertextException: any changed bit, any cut and any other context is one and the
    /// same error.
    #[test]
    fn every_change_is_the_same_error() {
        let (env, _simulation) = Env::simulated(2);
        let made = context(&[("fs", "fs-1")]);
        let blob = seal(&[1; 16], &[2; 16], &material(9), &made, b"secret", &env);
        let fails = |bytes: &[u8], context: &EncryptionContext, key: &Key| {
            let outcome = Blob::parse(bytes).and_then(|parsed| parsed.open(key, context).map(|_| ()));
            assert!(matches!(outcome, Err(KmsError::InvalidCiphertext)));
        };
        for bit in 0..blob.len() * 8 {
            let mut changed = blob.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            fails(&changed, &made, &material(9));
        }
        for length in 0..blob.len() {
            fails(&blob[..length], &made, &material(9));
        }
        let mut longer = blob.clone();
        longer.push(0);
        fails(&longer, &made, &material(9));
        fails(&blob, &context(&[]), &material(9));
        fails(&blob, &context(&[("fs", "fs-2")]), &material(9));
        fails(&blob, &context(&[("FS", "fs-1")]), &material(9));
        fails(&blob, &made, &material(8));
    }

    /// KMS cryptographic details: every message has a derived key of its own, so equal messages differ.
    #[test]
    fn equal_messages_do_not_look_equal() {
        let (env, _simulation) = Env::simulated(3);
        let none = context(&[]);
        let one = seal(&[1; 16], &[2; 16], &material(9), &none, b"secret", &env);
        assert_ne!(one, seal(&[1; 16], &[2; 16], &material(9), &none, b"secret", &env));
    }
}
