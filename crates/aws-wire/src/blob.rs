//! Blobs of the JSON protocols: base64 on the wire, bytes here. Smithy, "awsJson1_1", blob serialization.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Bytes that may be shown, such as a ciphertext.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

/// Bytes that must not be shown, such as a plaintext data key: wiped on drop, never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBlob(pub Zeroizing<Vec<u8>>);

impl SecretBlob {
    /// Takes bytes over; the caller's buffer becomes this one's.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for SecretBlob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretBlob({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for SecretBlob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Decodes the base64 that clients send; padding is asked for, as AWS does.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        decode(&text).map(Self).ok_or_else(|| serde::de::Error::custom("not base64"))
    }
}

impl Serialize for SecretBlob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for SecretBlob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        decode(&text).map(Self::new).ok_or_else(|| serde::de::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Blob, SecretBlob};

    /// Smithy awsJson1_1: blobs are base64 strings.
    #[test]
    fn blobs_are_base64_on_the_wire() {
        assert_eq!(serde_json::to_string(&Blob(b"hi!".to_vec())).unwrap(), "\"aGkh\"");
        assert_eq!(serde_json::from_str::<Blob>("\"aGkh\"").unwrap().0, b"hi!");
        assert_eq!(&**serde_json::from_str::<SecretBlob>("\"aGkh\"").unwrap().0, b"hi!");
        assert!(serde_json::from_str::<Blob>("\"a\"").is_err());
    }

    /// Architecture section 1, "Secrets": plaintext keys cannot be printed.
    #[test]
    fn secret_blobs_do_not_print() {
        assert_eq!(format!("{:?}", SecretBlob::new(b"secret".to_vec())), "SecretBlob(6 bytes)");
    }
}
