//! The `Segments` trait: bulk bytes in append-only segments (Architecture section 4).

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::{BoxFuture, Now, StorageError};

/// A segment: the epoch of the opening that wrote it in the upper half, a number within it in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The segment `number` of `epoch`.
    #[must_use]
    pub const fn new(epoch: u32, number: u32) -> Self {
        Self((epoch as u64) << 32 | number as u64)
    }

    /// The opening of the shard that wrote the segment.
    #[must_use]
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Which segment of its epoch.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }
}

/// Where bytes lie. Opaque to callers, who store [`Place::encode`] and give it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The segment.
    pub segment: SegmentId,
    /// The first byte within it.
    pub offset: u64,
    /// How many bytes.
    pub length: u32,
}

impl Place {
    /// How long an encoded place is.
    pub const BYTES: usize = 20;

    /// A part of the place: `range` of its bytes. None if it does not have them.
    #[must_use]
    pub fn part(&self, range: Range<u32>) -> Option<Self> {
        let length = range.end.checked_sub(range.start).filter(|_| range.end <= self.length)?;
        let offset = self.offset.checked_add(u64::from(range.start))?;
        Some(Self { segment: self.segment, offset, length })
    }

    /// The place as stored: segment, offset, length, each big-endian.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (segment, rest) = bytes.split_at_mut(8);
        let (offset, length) = rest.split_at_mut(8);
        segment.copy_from_slice(&self.segment.0.to_be_bytes());
        offset.copy_from_slice(&self.offset.to_be_bytes());
        length.copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    /// The place that was encoded so.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let [s0, s1, s2, s3, s4, s5, s6, s7, o0, o1, o2, o3, o4, o5, o6, o7, length @ ..] = *bytes;
        Self {
            segment: SegmentId(u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7])),
            offset: u64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
            length: u32::from_be_bytes(length),
        }
    }
}

/// Sealed bytes to write back to back, without copying them together first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// The parts in order; together at most 16 MiB.
    pub parts: Vec<Bytes>,
}

impl Sealed {
    /// The most bytes that one sealed thing may have.
    pub const BYTES_MAX: usize = 16 << 20;

    /// All bytes together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }
}

impl From<Bytes> for Sealed {
    fn from(bytes: Bytes) -> Self {
        Self { parts: vec![bytes] }
    }
}

/// Append-only segments. What is put never changes; space comes back by deleting whole segments.
pub trait Segments: Send + Sync {
    /// Writes each sealed thing somewhere; on return all of them are durable and readable. Concurrent puts share one
    /// sync. Starts when **called**; goes its way even if the future is dropped.
    fn put(&self, sealed: Vec<Sealed>) -> BoxFuture<'static, Result<Vec<Place>, StorageError>>;

    /// Reads `range` of a place into `out` (of the range's length), if the bytes are in memory.
    ///
    /// # Errors
    /// The disk's, or [`StorageError::NoSuchPlace`].
    fn read_now(&self, place: &Place, range: Range<u32>, out: &mut [u8]) -> Result<Now<()>, StorageError>;

    /// Begins to bring a place into memory, so that a read finds it there. Waits for nothing and promises nothing.
    fn prefetch(&self, place: &Place);

    /// Reads `range` of a place.
    fn read(&self, place: &Place, range: Range<u32>) -> BoxFuture<'static, Result<BytesMut, StorageError>>;

    /// Writes the bytes of each place (or of a [`Place::part`]) again, in the newest segment, durable on return. Together at
    /// most [`Sealed::BYTES_MAX`]. May use the reserve: copies come before a deletion that frees more.
    fn copy(&self, places: Vec<Place>) -> BoxFuture<'_, Result<Vec<Place>, StorageError>>;

    /// Deletes a segment of whom nobody needs anything more. Absent ones are no error; the one being written is.
    fn delete(&self, segment: SegmentId) -> BoxFuture<'_, Result<(), StorageError>>;

    /// The segments of every epoch below `below`, with their sizes, in order.
    fn list(&self, below: u32) -> BoxFuture<'_, Result<Vec<(SegmentId, u64)>, StorageError>>;

    /// The epoch of this opening, under which it writes.
    fn epoch(&self) -> u32;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/on-disk-format.md: a place has 20 bytes, big-endian.
    #[test]
    fn a_place_comes_back_from_its_bytes() {
        let place = Place { segment: SegmentId::new(3, 9), offset: 0x0102_0304_0506, length: 77 };
        let bytes = place.encode();
        assert_eq!(bytes, [0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 77]);
        assert_eq!(Place::decode(&bytes), place);
        assert_eq!((place.segment.epoch(), place.segment.number()), (3, 9));
        assert_eq!(place.part(7..70), Some(Place { offset: 0x0102_0304_050d, length: 63, ..place }));
        assert_eq!(place.part(0..78), None);
    }
}
