//! A key: 32 bytes that cannot be printed, cloned or serialised, locked in memory and wiped (Architecture section 5).

use aws_lc_rs::hkdf;
use env::Env;
use zeroize::Zeroize as _;

use crate::{
    locked::Slot,
    subkey::{Salt, Subkey},
};

/// What a derived key or a seal is for. Two labels never give the same subkey, so no seal opens in another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label(&'static str);

impl Label {
    /// A label; by custom `"crate/purpose"`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The label's text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// The bytes offered as a key are not 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 32 bytes")]
pub struct WrongKeyLength;

/// 256 bits of secret.
pub struct Key(Slot);

/// Separates the two uses of HKDF-Expand: keys derived from keys, and subkeys of a salt.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Derive = 1,
    Subkey = 2,
}

impl Key {
    /// A fresh key.
    #[must_use]
    pub fn random(env: &Env) -> Self {
        let mut slot = Slot::new();
        env.fill(slot.bytes_mut());
        Self(slot)
    }

    /// Takes 32 bytes as a key and wipes the source, whatever its length.
    ///
    /// # Errors
    /// [`WrongKeyLength`] if there are not exactly 32 bytes.
    pub fn take(source: &mut [u8]) -> Result<Self, WrongKeyLength> {
        match <&mut [u8; 32]>::try_from(&mut *source) {
            Ok(bytes) => Ok(Self::take_array(bytes)),
            Err(_) => {
                source.zeroize();
                Err(WrongKeyLength)
            }
        }
    }

    /// Takes an array as a key and wipes it.
    #[must_use]
    pub fn take_array(source: &mut [u8; 32]) -> Self {
        let mut slot = Slot::new();
        slot.bytes_mut().copy_from_slice(source);
        source.zeroize();
        Self(slot)
    }

    /// The bytes themselves. Every call is a place to look at in review.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    /// Another key, that `label` and `context` decide (HKDF-Expand with SHA-256, RFC 5869 section 2.3).
    #[must_use]
    pub fn derive(&self, label: &'static str, context: &[u8]) -> Self {
        let mut slot = Slot::new();
        self.expand(Use::Derive, label, context, slot.bytes_mut());
        Self(slot)
    }

    /// One key of two derived ones: whoever lacks either knows nothing of it. Both must come from
    /// [`derive`](Self::derive), with labels that are used for nothing else.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let mut slot = Slot::new();
        for ((to, one), other) in slot.bytes_mut().iter_mut().zip(self.expose()).zip(other.expose()) {
            *to = one ^ other;
        }
        Self(slot)
    }

    /// The subkey of (`label`, `salt`) for AES-256-GCM.
    #[must_use]
    pub fn subkey(&self, label: Label, salt: &Salt) -> Subkey {
        // The bytes pass through locked memory that wipes itself.
        let mut slot = Slot::new();
        self.expand(Use::Subkey, label.0, salt, slot.bytes_mut());
        Subkey::new(slot.bytes())
    }

    fn expand(&self, purpose: Use, label: &str, context: &[u8], out: &mut [u8; 32]) {
        // The label's length goes first, so that label and context cannot be read as another pair.
        let length = u8::try_from(label.len());
        assert!(length.is_ok(), "a label is shorter than 256 bytes");
        let head = [purpose as u8, length.unwrap_or(u8::MAX)];
        let parts = [b"coffer".as_slice(), &head, label.as_bytes(), context];
        let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, self.expose());
        let done = prk.expand(&parts, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(out));
        assert!(done.is_ok(), "HKDF gives 32 bytes for any context");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::take(&mut [byte; 32]).unwrap()
    }

    /// Architecture section 5: keys are wiped; taking a key clears where it came from, right length or not.
    #[test]
    fn taking_a_key_wipes_its_source() {
        let mut source = [7; 32];
        assert_eq!(Key::take(&mut source).unwrap().expose(), &[7; 32]);
        assert_eq!(source, [0; 32]);
        let mut short = [7; 31];
        assert_eq!(Key::take(&mut short).err(), Some(WrongKeyLength));
        assert_eq!(short, [0; 31]);
    }

    /// RFC 5869 section 2.3: HKDF-Expand is T(1) = HMAC(PRK, info | 0x01).
    #[test]
    fn derivation_is_hkdf_expand() {
        let derived = key(3).derive("test/label", b"context");
        let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[3; 32]);
        let expected = aws_lc_rs::hmac::sign(&hmac, b"coffer\x01\x0atest/labelcontext\x01");
        assert_eq!(derived.expose(), expected.as_ref());
    }

    /// Architecture section 5, level 1: a key of two takes both.
    #[test]
    fn a_joined_key_takes_both() {
        let joined =
            |one: u8, other: u8| key(one).derive("test/one", b"").joined(&key(other).derive("test/other", b""));
        assert_eq!(joined(1, 2).expose(), joined(1, 2).expose());
        for different in [joined(1, 3), joined(3, 2), joined(2, 1), key(1).derive("test/one", b"")] {
            assert_ne!(joined(1, 2).expose(), different.expose());
        }
        assert_ne!(joined(1, 1).expose(), &[0; 32]);
    }

    /// Architecture section 5: labels and contexts separate domains.
    #[test]
    fn label_and_context_cannot_be_shifted() {
        let one = key(1);
        assert_ne!(one.derive("ab", b"c").expose(), one.derive("a", b"bc").expose());
        assert_ne!(one.derive("ab", b"c").expose(), key(2).derive("ab", b"c").expose());
        assert_eq!(one.derive("ab", b"c").expose(), one.derive("ab", b"c").expose());
    }
}
