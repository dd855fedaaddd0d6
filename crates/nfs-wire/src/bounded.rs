//! Variable-length data whose limit is part of its type. RFC 4506, sections 4.10 and 4.13.
//!
//! Decoding checks the limit, then the bytes left, and only then takes memory.

use std::fmt;

use bytes::Bytes;

use crate::xdr::{Decoder, Encoder, Malformed, Xdr, length_of};

/// A value was longer than its type allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{length} is above the limit of {limit}")]
pub struct TooLong {
    /// What was offered.
    pub length: usize,
    /// What the type allows.
    pub limit: usize,
}

/// `opaque<MAX>`: at most `MAX` bytes, as a slice of the record that it came from.
///
/// Whoever keeps such a value for long takes `detached()`, or the whole record stays in memory with it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Opaque<const MAX: usize>(Bytes);

impl<const MAX: usize> Opaque<MAX> {
    /// Takes the bytes if they are within the limit.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, TooLong> {
        let bytes = bytes.into();
        if bytes.len() > MAX {
            return Err(TooLong { length: bytes.len(), limit: MAX });
        }
        Ok(Self(bytes))
    }

    /// Copies the bytes if they are within the limit.
    pub fn copied(bytes: &[u8]) -> Result<Self, TooLong> {
        if bytes.len() > MAX {
            return Err(TooLong { length: bytes.len(), limit: MAX });
        }
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, still a slice of the record.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// A copy that does not keep the record in memory.
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl<const MAX: usize> std::ops::Deref for Opaque<MAX> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> AsRef<[u8]> for Opaque<MAX> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Opaque<MAX> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl<const MAX: usize> TryFrom<Bytes> for Opaque<MAX> {
    type Error = TooLong;
    fn try_from(bytes: Bytes) -> Result<Self, TooLong> {
        Self::new(bytes)
    }
}

impl<const MAX: usize> Xdr for Opaque<MAX> {
    const WIRE_BYTES_MIN: usize = 4;
    fn encode(&self, encoder: &mut Encoder) {
        encoder.opaque(&self.0);
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        decoder.opaque(MAX).map(Self)
    }
}

/// `T<MAX>`: at most `MAX` elements.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes the elements if they are within the limit.
    pub fn new(elements: Vec<T>) -> Result<Self, TooLong> {
        if elements.len() > MAX {
            return Err(TooLong { length: elements.len(), limit: MAX });
        }
        Ok(Self(elements))
    }

    /// No elements.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// The elements.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T, const MAX: usize> std::ops::Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> IntoIterator for List<T, MAX> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a List<T, MAX> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug, const MAX: usize> fmt::Debug for List<T, MAX> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl<T: Xdr, const MAX: usize> Xdr for List<T, MAX> {
    const WIRE_BYTES_MIN: usize = 4;
    fn encode(&self, encoder: &mut Encoder) {
        encoder.u32(length_of(self.0.len()));
        for element in &self.0 {
            element.encode(encoder);
        }
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        let count = decoder.count(MAX, T::WIRE_BYTES_MIN)?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::decode(decoder)?);
        }
        Ok(Self(elements))
    }
}

/// The data of READ and WRITE: a shared slice, decoded and encoded without a copy.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Payload(pub Bytes);

/// The most data that one READ or WRITE carries.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

impl std::ops::Deref for Payload {
    type Target = Bytes;
    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Payload({} bytes)", self.0.len())
    }
}

impl Xdr for Payload {
    const WIRE_BYTES_MIN: usize = 4;
    fn encode(&self, encoder: &mut Encoder) {
        encoder.payload(&self.0);
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        decoder.opaque(PAYLOAD_BYTES_MAX).map(Self)
    }
}
