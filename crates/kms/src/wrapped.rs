//! Bytes under a domain key, as records keep them.

use crypto::OpenFailed;
use serde::{Deserialize, Serialize};

/// Bytes sealed under a domain key, with the epoch that says which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wrapped {
    pub(crate) epoch: u64,
    #[serde(with = "as_base64")]
    pub(crate) sealed: Vec<u8>,
}

/// Why bytes under a domain key do not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnwrapError {
    /// The epoch is gone: the bytes were erased, or were wrapped again since the caller looked.
    EpochGone,
    /// Not what was sealed here.
    OpenFailed,
}

impl From<OpenFailed> for UnwrapError {
    fn from(_: OpenFailed) -> Self {
        Self::OpenFailed
    }
}

/// Bytes as base64 text in JSON.
pub(crate) mod as_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}
