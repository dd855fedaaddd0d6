//! All use of the cipher: keys that cannot leak by accident, salted subkeys, one-shot sealing, a PRF (Architecture
//! section 5), and the key pairs and MACs that users of KMS ask for.
//!
//! One rule for all sealing: **a fresh salted subkey, counters as IVs, nothing sealed twice under one (subkey, IV)**.
//! A [`Salt`] is 16 fresh random bytes; [`Key::subkey`] expands key, label and salt to an AES-256-GCM subkey, and each
//! piece sealed under it takes the next counter. Records that stand alone use [`Key::seal`], which draws its own salt.
//!
//! Failure to open is one error, [`OpenFailed`], that never says which part failed.

mod ecc;
mod eddsa;
mod key;
mod key_wrap;
mod locked;
mod mac;
mod pair;
mod prf;
mod rsa;
mod sealed;
mod signature;
mod subkey;

pub use key::{Key, Label, WrongKeyLength};
pub use locked::memory_is_locked;
pub use mac::{MacKey, MacKind};
pub use pair::{Oaep, PairError, PairKind, PrivateKey, PublicKey};
pub use prf::Prf;
pub use sealed::{SEALED_OVERHEAD, WRAPPED_BYTES};
pub use signature::{Hash, Message, Scheme};
pub use subkey::{Salt, Subkey, SubkeyCache, TAG_BYTES, Tag};

/// A seal did not open: wrong key, wrong place, or changed bytes. It says no more on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not open")]
pub struct OpenFailed;

/// Whether two byte strings are equal, in a time that depends on their lengths only.
#[must_use]
pub fn equal(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}
