//! A keyed function for names, cookies and file handles: HMAC-SHA-256 (RFC 2104) with the key's state computed once.

use aws_lc_rs::hmac;

use crate::Key;

/// HMAC-SHA-256 under one key. Without the key its values cannot be told from random ones.
pub struct Prf(hmac::Key);

impl Prf {
    /// The function that `key` makes; the key itself is given up.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    /// 64 bits that `message` decides.
    #[must_use]
    pub fn u64_of(&self, message: &[u8]) -> u64 {
        u64::from_be_bytes(self.first(&[message]))
    }

    /// 128 bits that `message` decides: a MAC, or a key of a record.
    #[must_use]
    pub fn mac16(&self, message: &[u8]) -> [u8; 16] {
        self.first(&[message])
    }

    /// [`Prf::mac16`] of the parts one after the other. Their borders are not marked: fix all lengths but one.
    #[must_use]
    pub fn mac16_of(&self, parts: &[&[u8]]) -> [u8; 16] {
        self.first(parts)
    }

    /// 256 bits that the parts decide, one after the other; their borders are not marked either.
    #[must_use]
    pub fn mac32_of(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.first(parts)
    }

    fn first<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let tag = context.sign();
        let first = tag.as_ref().first_chunk::<N>();
        assert!(first.is_some(), "HMAC-SHA-256 gives 32 bytes");
        *first.unwrap_or(&[0; N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 section 4.2, with the 20-byte key padded by zeros as HMAC itself does.
    #[test]
    fn values_are_hmac_sha_256() {
        let mut bytes = [0; 32];
        bytes[..20].fill(0x0b);
        let prf = Prf::new(Key::take(&mut bytes).unwrap());
        assert_eq!(prf.mac16(b"Hi There"), *b"\xb0\x34\x4c\x61\xd8\xdb\x38\x53\x5c\xa8\xaf\xce\xaf\x0b\xf1\x2b");
        assert_eq!(prf.u64_of(b"Hi There"), 0xb034_4c61_d8db_3853);
        assert_eq!(prf.mac16_of(&[b"Hi ", b"There"]), prf.mac16(b"Hi There"));
        assert_eq!(
            prf.mac32_of(&[b"Hi There"])[16..],
            *b"\x88\x1d\xc2\x00\xc9\x83\x3d\xa7\x26\xe9\x37\x6c\x2e\x32\xcf\xf7"
        );
    }
}
