//! External Data Representation: the encoder, the decoder and the primitive types. RFC 4506.

use bytes::{BufMut, Bytes, BytesMut};

/// Why bytes are not a value of the type they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The record ends inside a value.
    #[error("the record ends inside a value")]
    Truncated,
    /// A length or a count is above the limit of its type.
    #[error("a length or count is above its limit")]
    TooLong,
    /// An enumeration or the discriminant of a union has a value that its type does not define.
    #[error("an undefined enumeration value")]
    UnknownValue,
    /// A boolean is neither 0 nor 1 (RFC 4506, section 4.4).
    #[error("a boolean that is neither 0 nor 1")]
    BadBool,
    /// A padding byte is not zero (RFC 4506, section 4.9: residual bytes are zero).
    #[error("padding that is not zero")]
    BadPadding,
    /// Bytes are left over behind the last value.
    #[error("bytes left over")]
    Trailing,
}

/// A value with a representation in XDR.
pub trait Xdr: Sized {
    /// The fewest bytes that any value of this type takes. A list's count is held against the bytes left with it, before memory
    /// is taken.
    const WIRE_BYTES_MIN: usize;

    /// Appends the value. Types hold only what they may say, so encoding cannot fail.
    fn encode(&self, encoder: &mut Encoder);

    /// Takes the value from the front of the record.
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed>;
}

/// Decodes a whole record: one value and nothing behind it.
pub fn decode_all<T: Xdr>(record: Bytes) -> Result<T, Malformed> {
    let mut decoder = Decoder::new(record);
    let value = T::decode(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}

/// Encodes one value into contiguous bytes.
pub fn encode_all<T: Xdr>(value: &T) -> Bytes {
    let mut encoder = Encoder::new();
    value.encode(&mut encoder);
    encoder.into_bytes()
}

/// The bytes from `length` to the next multiple of four.
pub(crate) const fn padding_of(length: usize) -> usize {
    length.wrapping_neg() & 3
}

/// Reads a record from the front. Opaque values are slices of the record, not copies.
#[derive(Debug, Clone)]
pub struct Decoder {
    rest: Bytes,
}

impl Decoder {
    /// Starts at the first byte of the record.
    pub const fn new(record: Bytes) -> Self {
        Self { rest: record }
    }

    /// How many bytes are not read yet.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What is not read yet.
    pub fn as_slice(&self) -> &[u8] {
        &self.rest
    }

    /// Everything not read yet, as a slice of the record.
    pub fn into_rest(self) -> Bytes {
        self.rest
    }

    /// Ends the reading; bytes left over are an error.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Trailing) }
    }

    /// Takes an array of fixed size whose length is a multiple of four or is padded to one.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, _) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        let array = *head;
        let _ = self.rest.split_to(N);
        self.padding(N)?;
        Ok(array)
    }

    /// Takes an unsigned integer.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes an unsigned hyper integer.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// Takes variable-length opaque data of at most `limit` bytes: first the limit, then the bytes left, then the slice.
    pub fn opaque(&mut self, limit: usize) -> Result<Bytes, Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed::TooLong)?;
        if length > limit {
            return Err(Malformed::TooLong);
        }
        if length > self.rest.len() {
            return Err(Malformed::Truncated);
        }
        let data = self.rest.split_to(length);
        self.padding(length)?;
        Ok(data)
    }

    /// Takes the count of a list of elements of at least `element_bytes_min` bytes each.
    pub fn count(&mut self, limit: usize, element_bytes_min: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.u32()?).map_err(|_| Malformed::TooLong)?;
        if count > limit {
            return Err(Malformed::TooLong);
        }
        if count.saturating_mul(element_bytes_min) > self.rest.len() {
            return Err(Malformed::Truncated);
        }
        Ok(count)
    }

    fn padding(&mut self, length: usize) -> Result<(), Malformed> {
        let padding = padding_of(length);
        if padding > self.rest.len() {
            return Err(Malformed::Truncated);
        }
        let bytes = self.rest.split_to(padding);
        if bytes.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(Malformed::BadPadding) }
    }
}

/// A place in an encoder to come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    buffer: usize,
    splices: usize,
    spliced_bytes: usize,
}

/// Writes a record as a few parts, so that bulk data is sent from where it lies.
#[derive(Debug, Default, Clone)]
pub struct Encoder {
    buffer: BytesMut,
    /// Bulk data, each with the offset in `buffer` before which it stands.
    splices: Vec<(usize, Bytes)>,
    spliced_bytes: usize,
}

/// Bulk data below this is copied: one more part costs more than the copy.
const SPLICE_BYTES_MIN: usize = 2048;

impl Encoder {
    /// An empty encoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty encoder with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(bytes), ..Self::default() }
    }

    /// The bytes written so far, bulk data included.
    pub fn len(&self) -> usize {
        self.buffer.len().saturating_add(self.spliced_bytes)
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends an unsigned integer.
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32(value);
    }

    /// Appends an unsigned hyper integer.
    pub fn u64(&mut self, value: u64) {
        self.buffer.put_u64(value);
    }

    /// Appends an array of fixed size and its padding.
    pub fn array(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
        self.buffer.put_bytes(0, padding_of(bytes.len()));
    }

    /// Appends variable-length opaque data.
    pub fn opaque(&mut self, bytes: &[u8]) {
        self.u32(length_of(bytes.len()));
        self.array(bytes);
    }

    /// Appends variable-length opaque data; long data becomes a part of its own and is not copied.
    pub fn payload(&mut self, data: &Bytes) {
        if data.len() < SPLICE_BYTES_MIN {
            return self.opaque(data);
        }
        self.u32(length_of(data.len()));
        self.splices.push((self.buffer.len(), data.clone()));
        self.spliced_bytes = self.spliced_bytes.saturating_add(data.len());
        self.buffer.put_bytes(0, padding_of(data.len()));
    }

    /// Appends what another encoder wrote, or what was encoded before. It must be whole words.
    pub fn raw(&mut self, words: &[u8]) {
        debug_assert_eq!(words.len() % 4, 0, "XDR is made of words");
        self.buffer.put_slice(words);
    }

    /// The place reached, for `rewind` and `overwrite_u32`.
    pub fn mark(&self) -> Mark {
        Mark { buffer: self.buffer.len(), splices: self.splices.len(), spliced_bytes: self.spliced_bytes }
    }

    /// Forgets everything written since the mark.
    pub fn rewind(&mut self, mark: Mark) {
        self.buffer.truncate(mark.buffer);
        self.splices.truncate(mark.splices);
        self.spliced_bytes = mark.spliced_bytes;
    }

    /// Replaces the integer that was written at the mark.
    pub fn overwrite_u32(&mut self, mark: Mark, value: u32) {
        if let Some(place) = self.buffer.get_mut(mark.buffer..mark.buffer.saturating_add(4)) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// The record as parts to be written back to back.
    pub fn into_parts(self) -> Vec<Bytes> {
        let mut rest = self.buffer.freeze();
        if self.splices.is_empty() {
            return vec![rest];
        }
        let mut parts = Vec::with_capacity(self.splices.len().saturating_mul(2).saturating_add(1));
        let mut taken = 0;
        for (offset, data) in self.splices {
            let before = rest.split_to(offset.saturating_sub(taken));
            taken = offset;
            if !before.is_empty() {
                parts.push(before);
            }
            parts.push(data);
        }
        if !rest.is_empty() {
            parts.push(rest);
        }
        parts
    }

    /// The record in one piece; copies bulk data.
    pub fn into_bytes(self) -> Bytes {
        if self.splices.is_empty() {
            return self.buffer.freeze();
        }
        let mut whole = BytesMut::with_capacity(self.len());
        for part in self.into_parts() {
            whole.put_slice(&part);
        }
        whole.freeze()
    }
}

/// A length as it stands on the wire. Bounded types keep lengths far below the limit of the integer.
pub(crate) fn length_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Xdr for () {
    const WIRE_BYTES_MIN: usize = 0;
    fn encode(&self, _: &mut Encoder) {}
    fn decode(_: &mut Decoder) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl Xdr for bool {
    const WIRE_BYTES_MIN: usize = 4;
    fn encode(&self, encoder: &mut Encoder) {
        encoder.u32(u32::from(*self));
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        match decoder.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::BadBool),
        }
    }
}

impl Xdr for u32 {
    const WIRE_BYTES_MIN: usize = 4;
    fn encode(&self, encoder: &mut Encoder) {
        encoder.u32(*self);
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        decoder.u32()
    }
}

impl Xdr for i32 {
    const WIRE_BYTES_MIN: usize = 4;
    fn encode(&self, encoder: &mut Encoder) {
        encoder.array(&self.to_be_bytes());
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        decoder.array().map(Self::from_be_bytes)
    }
}

impl Xdr for u64 {
    const WIRE_BYTES_MIN: usize = 8;
    fn encode(&self, encoder: &mut Encoder) {
        encoder.u64(*self);
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        decoder.u64()
    }
}

impl Xdr for i64 {
    const WIRE_BYTES_MIN: usize = 8;
    fn encode(&self, encoder: &mut Encoder) {
        encoder.array(&self.to_be_bytes());
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        decoder.array().map(Self::from_be_bytes)
    }
}

/// Fixed-length opaque data.
impl<const N: usize> Xdr for [u8; N] {
    const WIRE_BYTES_MIN: usize = N + padding_of(N);
    fn encode(&self, encoder: &mut Encoder) {
        encoder.array(self);
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        decoder.array()
    }
}

impl<T: Xdr> Xdr for Box<T> {
    const WIRE_BYTES_MIN: usize = T::WIRE_BYTES_MIN;
    fn encode(&self, encoder: &mut Encoder) {
        T::encode(self, encoder);
    }
    fn decode(decoder: &mut Decoder) -> Result<Self, Malformed> {
        T::decode(decoder).map(Self::new)
    }
}
