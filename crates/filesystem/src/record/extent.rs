//! The record of an extent map entry: which run of a file's blocks lies where, and under which seal.
//!
//! Entries begin on the 4 KiB grid of the file and never cross a multiple of 1 MiB, so that the entries of one such
//! window are found with one scan and fit one operation.

use std::ops::Range;

use crypto::Salt;
use storage::Place;

use crate::{
    Result,
    codec::{Reader, Writer, malformed},
    seal::{STRIDE, STRIDE_U32, TAG_U32, sealed_bytes},
};

/// Plaintext bytes of a piece, and the grid of all extents.
pub(crate) const BLOCK: u64 = 4096;

/// No map entry crosses a multiple of this.
pub(crate) const WINDOW: u64 = 1 << 20;

const VERSION: u8 = 1;
/// The same with `first` at the end; written only where that is not 0.
const VERSION_PARTIAL: u8 = 2;
const INLINE: u8 = 0;
const SEGMENT: u8 = 1;

/// Where the sealed bytes of an extent are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the keyspace of inline bytes, under (fileid, extent id).
    Inline,
    /// In a segment.
    Segment(Place),
}

/// A sealed run of pieces, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Unique in the file system; the seals repeat it.
    pub(crate) id: u64,
    pub(crate) salt: Salt,
    pub(crate) key_version: u32,
    /// Plaintext bytes sealed. The last piece may be short.
    pub(crate) bytes: u32,
    /// The piece that the sealed bytes begin with: what came before had no use any more when they were copied.
    pub(crate) first: u32,
    pub(crate) source: Source,
}

impl Extent {
    /// Where sealed pieces lie within the bytes at `source`.
    pub(crate) fn sealed(&self, pieces: &Range<u32>) -> Range<u32> {
        let whole = sealed_bytes(self.bytes);
        let begin = |piece: u32| piece.saturating_mul(STRIDE_U32).min(whole);
        let at = |piece: u32| begin(piece).saturating_sub(begin(self.first));
        at(pieces.start)..at(pieces.end)
    }
}

/// A part of an extent that is a part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MapEntry {
    /// First byte in the file; on the grid.
    pub(crate) start: u64,
    /// Bytes; clipped at byte granularity by truncation.
    pub(crate) length: u32,
    /// The piece of the extent that begins at `start`.
    pub(crate) first_piece: u32,
    pub(crate) extent: Extent,
}

impl MapEntry {
    pub(crate) fn end(&self) -> u64 {
        self.start.saturating_add(u64::from(self.length))
    }

    /// The pieces of its extent that it keeps alive.
    pub(crate) fn pieces(&self) -> Range<u32> {
        let count = self.length.div_ceil(STRIDE_U32 - TAG_U32);
        self.first_piece..self.first_piece.saturating_add(count)
    }

    /// Bytes of whole blocks that the entry keeps alive.
    pub(crate) fn blocks_bytes(&self) -> u64 {
        u64::from(self.length).div_ceil(BLOCK) * BLOCK
    }

    /// Sealed bytes that the entry keeps alive in its segment.
    pub(crate) fn live_bytes(&self) -> i64 {
        let pieces = u64::from(self.length).div_ceil(BLOCK);
        i64::try_from(pieces * STRIDE as u64).unwrap_or(i64::MAX)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let version = if self.extent.first == 0 { VERSION } else { VERSION_PARTIAL };
        let writer = Writer::with_capacity(74)
            .u8(version)
            .u32(self.length)
            .u32(self.first_piece)
            .u64(self.extent.id)
            .bytes(&self.extent.salt)
            .u32(self.extent.key_version)
            .u32(self.extent.bytes);
        let writer = match &self.extent.source {
            Source::Inline => writer.u8(INLINE),
            Source::Segment(place) => writer.u8(SEGMENT).bytes(&place.encode()),
        };
        if version == VERSION { writer.done() } else { writer.u32(self.extent.first).done() }
    }

    pub(crate) fn decode(start: u64, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if ![VERSION, VERSION_PARTIAL].contains(&version) {
            return Err(malformed());
        }
        let length = reader.u32()?;
        let first_piece = reader.u32()?;
        let (id, salt, key_version, whole) = (reader.u64()?, reader.array()?, reader.u32()?, reader.u32()?);
        let source = match reader.u8()? {
            INLINE => Source::Inline,
            SEGMENT => Source::Segment(Place::decode(&reader.array()?)),
            _ => return Err(malformed()),
        };
        let first = if version == VERSION { 0 } else { reader.u32()? };
        reader.end()?;
        let extent = Extent { id, salt, key_version, bytes: whole, first, source };
        let entry = Self { start, length, first_piece, extent };
        // What follows relies on these; a record that breaks them was not written by us.
        let skipped = u64::from(first_piece) * BLOCK;
        let fits = length > 0
            && start.is_multiple_of(BLOCK)
            && start / WINDOW == (entry.end() - 1) / WINDOW
            && first <= first_piece
            && skipped + u64::from(length) <= u64::from(whole);
        if fits { Ok(entry) } else { Err(malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::SegmentId;

    /// docs/on-disk-format.md: map entries come back from their bytes; impossible ones are refused.
    #[test]
    fn map_entries_come_back_from_their_bytes() {
        let place = Place { segment: SegmentId::new(1, 2), offset: 3, length: 4112 * 4 };
        let extent =
            Extent { id: 5, salt: [6; 16], key_version: 1, bytes: 16384, first: 0, source: Source::Segment(place) };
        let entry = MapEntry { start: 8192, length: 5000, first_piece: 2, extent };
        assert_eq!(MapEntry::decode(8192, &entry.encode()).unwrap(), entry);
        let inline = MapEntry { extent: Extent { source: Source::Inline, ..extent }, ..entry };
        assert_eq!(MapEntry::decode(8192, &inline.encode()).unwrap(), inline);
        let partial = MapEntry { extent: Extent { first: 1, ..extent }, ..entry };
        assert_eq!(MapEntry::decode(8192, &partial.encode()).unwrap(), partial);
        for bad in [
            MapEntry { extent: Extent { first: 3, ..extent }, ..entry },
            MapEntry { start: 100, ..entry },
            MapEntry { start: WINDOW - BLOCK, ..entry },
            MapEntry { length: 0, ..entry },
            MapEntry { first_piece: 3, ..entry },
        ] {
            assert!(MapEntry::decode(bad.start, &bad.encode()).is_err());
        }
    }
}
