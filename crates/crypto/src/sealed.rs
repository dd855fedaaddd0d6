//! One-shot seals for records that stand alone: version | salt | ciphertext | tag, each with a subkey of its own.

use env::Env;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    Key, Label, OpenFailed,
    subkey::{Salt, TAG_BYTES, Tag},
};

const VERSION: u8 = 1;
const SALT_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + SALT_BYTES;

/// How many bytes [`Key::seal`] adds.
pub const SEALED_OVERHEAD: usize = HEAD_BYTES + TAG_BYTES;

/// How long a key wrapped by [`Key::wrap`] is.
pub const WRAPPED_BYTES: usize = 32 + SEALED_OVERHEAD;

const WRAP: Label = Label::new("crypto/wrap");

impl Key {
    /// Seals one record under a fresh subkey. `aad` says where it belongs and must be given again to open it.
    #[must_use]
    pub fn seal(&self, label: Label, aad: &[u8], plaintext: &[u8], env: &Env) -> Vec<u8> {
        let salt: Salt = env.random();
        let mut sealed = Vec::with_capacity(plaintext.len() + SEALED_OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&salt);
        sealed.resize(HEAD_BYTES + plaintext.len(), 0);
        let (_, ciphertext) = sealed.split_at_mut(HEAD_BYTES);
        let tag = self.subkey(label, &salt).seal_into(0, aad, plaintext, ciphertext);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens what [`Key::seal`] made.
    ///
    /// # Errors
    /// [`OpenFailed`] for anything else, whatever part of it is wrong.
    pub fn open(&self, label: Label, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenFailed> {
        let (version, rest) = sealed.split_first().ok_or(OpenFailed)?;
        if *version != VERSION {
            return Err(OpenFailed);
        }
        let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>().ok_or(OpenFailed)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(OpenFailed)?;
        let tag: &Tag = tag;
        let mut plaintext = Zeroizing::new(vec![0; ciphertext.len()]);
        self.subkey(label, salt).open_into(0, aad, ciphertext, tag, &mut plaintext)?;
        Ok(plaintext)
    }

    /// Seals another key under this one; [`WRAPPED_BYTES`] long.
    #[must_use]
    pub fn wrap(&self, key: &Self, aad: &[u8], env: &Env) -> Vec<u8> {
        self.seal(WRAP, aad, key.expose(), env)
    }

    /// Opens a key sealed by [`Key::wrap`].
    ///
    /// # Errors
    /// [`OpenFailed`] for anything else, whatever part of it is wrong.
    pub fn unwrap(&self, wrapped: &[u8], aad: &[u8]) -> Result<Self, OpenFailed> {
        let mut bytes = self.open(WRAP, aad, wrapped)?;
        let key = Self::take(&mut bytes).map_err(|_| OpenFailed);
        bytes.zeroize();
        key
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LABEL: Label = Label::new("test/record");

    fn key(byte: u8) -> Key {
        Key::take(&mut [byte; 32]).unwrap()
    }

    proptest! {
        /// Architecture section 5: a record comes back whole, and any changed bit anywhere is noticed.
        #[test]
        fn a_record_comes_back_or_fails(
            plaintext in prop::collection::vec(any::<u8>(), 0..200),
            aad in prop::collection::vec(any::<u8>(), 0..40),
            bit in any::<prop::sample::Index>(),
        ) {
            let env = Env::simulated(3).0;
            let mut sealed = key(1).seal(LABEL, &aad, &plaintext, &env);
            prop_assert_eq!(sealed.len(), plaintext.len() + SEALED_OVERHEAD);
            prop_assert_eq!(&**key(1).open(LABEL, &aad, &sealed).unwrap(), &plaintext[..]);
            let bit = bit.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(key(1).open(LABEL, &aad, &sealed).is_err());
        }

        /// Architecture section 1, "Input": input can never reach a panic; whatever is offered, opening answers with
        /// its one error.
        #[test]
        fn noise_does_not_open(noise in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(key(1).open(LABEL, b"", &noise).err(), Some(OpenFailed));
            prop_assert_eq!(key(1).unwrap(&noise, b"").err(), Some(OpenFailed));
        }
    }

    /// Architecture section 5: a fresh salt each time, so equal records do not look equal.
    #[test]
    fn equal_records_have_different_seals() {
        let env = Env::real();
        assert_ne!(key(1).seal(LABEL, b"", b"same", &env), key(1).seal(LABEL, b"", b"same", &env));
    }

    /// Architecture section 5: the AAD and the wrapping key bind a wrapped key to its place.
    #[test]
    fn a_wrapped_key_opens_only_under_its_key_and_place() {
        let env = Env::real();
        let wrapped = key(1).wrap(&key(2), b"fs-1", &env);
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        assert_eq!(key(1).unwrap(&wrapped, b"fs-1").unwrap().expose(), key(2).expose());
        assert!(key(1).unwrap(&wrapped, b"fs-2").is_err());
        assert!(key(3).unwrap(&wrapped, b"fs-1").is_err());
        // A record of another label that happens to hold 32 bytes is no wrapped key.
        assert!(key(1).unwrap(&key(1).seal(LABEL, b"fs-1", &[2; 32], &env), b"fs-1").is_err());
    }
}
