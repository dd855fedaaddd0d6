//! Keys wrapped under a key pair: an AES key by RSAES-OAEP (RFC 8017 section 7.1), followed by the key itself under that
//! AES key with padding (AES-KWP, RFC 5649). What PKCS#11 calls `CKM_RSA_AES_KEY_WRAP`.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use zeroize::Zeroizing;

use crate::{Oaep, PairError, PrivateKey};

/// The AES key has 256 bits; no other length is taken.
const AES_KEY_BYTES: usize = 32;

impl PrivateKey {
    /// Unwraps what was wrapped for this RSA key: OAEP(AES-256 key) followed by AES-KWP of the content.
    ///
    /// # Errors
    /// [`PairError::OpenFailed`] whatever is wrong with the bytes, [`PairError::WrongKind`] when this is no RSA key.
    pub fn unwrap_key(&self, oaep: Oaep, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairError> {
        let modulus_bytes = self.kind().modulus_bytes().ok_or(PairError::WrongKind)?;
        let (aes, wrapped) = wrapped.split_at_checked(modulus_bytes).ok_or(PairError::OpenFailed)?;
        let aes = self.decrypt(oaep, aes)?;
        if aes.len() != AES_KEY_BYTES {
            return Err(PairError::OpenFailed);
        }
        let kek = AesKek::new(&AES_256, &aes).map_err(|_| PairError::OpenFailed)?;
        let mut content = Zeroizing::new(vec![0; wrapped.len()]);
        let length = kek.unwrap_with_padding(wrapped, &mut content).map_err(|_| PairError::OpenFailed)?.len();
        content.truncate(length);
        Ok(content)
    }
}
