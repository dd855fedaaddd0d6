//! What is written into files: bytes that do not compress, made from a seed, the offset and a version, so that a reader
//! knows what must be there without having kept it. Made and compared at a fraction of what sending it costs.

use std::sync::Arc;

use crate::dice::Dice;

/// Each sector begins with a stamp of its own; the rest repeats with the period.
pub(crate) const SECTOR: usize = 512;
const STAMP: usize = 8;
const PERIOD: usize = 64 * 1024;

/// The content of one file.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    seed: u64,
    base: Arc<[u8]>,
}

/// The first byte that is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where in the file it is.
    pub(crate) offset: u64,
    /// What was read.
    pub(crate) read: u8,
    /// What was written.
    pub(crate) written: u8,
}

impl Pattern {
    /// The pattern of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, base: Dice::new(17).bytes(PERIOD).into() }
    }

    /// The same bytes with other stamps, for another file.
    pub(crate) fn other(&self, seed: u64) -> Self {
        Self { seed, base: Arc::clone(&self.base) }
    }

    /// Makes what stands at the offset, which is one of a sector, as does the length.
    pub(crate) fn fill(&self, buffer: &mut [u8], offset: u64, version: u32) {
        for (sector, base) in buffer.chunks_mut(SECTOR).zip(self.sectors(offset)) {
            if let Some(base) = base.get(..sector.len()) {
                sector.copy_from_slice(base);
            }
        }
        self.stamp(buffer, offset, version);
    }

    /// The same for a buffer that already holds this pattern, of whatever version, at an offset that differs by whole
    /// periods.
    pub(crate) fn stamp(&self, buffer: &mut [u8], offset: u64, version: u32) {
        for (sector, number) in buffer.chunks_mut(SECTOR).zip(offset / SECTOR as u64..) {
            if let Some(place) = sector.first_chunk_mut::<STAMP>() {
                *place = self.stamp_of(number, version);
            }
        }
    }

    /// Whether these bytes are what was written at the offset.
    pub(crate) fn compare(&self, data: &[u8], offset: u64, version: u32) -> Result<(), Wrong> {
        let numbers = offset / SECTOR as u64..;
        for ((sector, base), number) in data.chunks(SECTOR).zip(self.sectors(offset)).zip(numbers) {
            let stamp = self.stamp_of(number, version);
            let equal = sector
                .split_first_chunk::<STAMP>()
                .is_some_and(|(head, rest)| *head == stamp && base.get(STAMP..sector.len()) == Some(rest));
            if !equal {
                return Err(first_wrong(sector, base, stamp, number));
            }
        }
        Ok(())
    }

    /// The sectors of the base from the offset on, without end.
    fn sectors(&self, offset: u64) -> impl Iterator<Item = &[u8]> {
        let start = usize::try_from(offset % PERIOD as u64).unwrap_or(0);
        let first = self.base.get(start..).unwrap_or_default();
        first.chunks(SECTOR).chain(self.base.chunks(SECTOR).cycle())
    }

    fn stamp_of(&self, number: u64, version: u32) -> [u8; STAMP] {
        let mut mixed = self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (u64::from(version) << 40);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    }
}

fn first_wrong(sector: &[u8], base: &[u8], stamp: [u8; STAMP], number: u64) -> Wrong {
    let right = stamp.iter().chain(base.iter().skip(STAMP));
    let wrong = sector.iter().zip(right).enumerate().find(|(_, (read, written))| read != written);
    let (at, (read, written)) = wrong.unwrap_or((0, (&0, &0)));
    Wrong { offset: number * SECTOR as u64 + at as u64, read: *read, written: *written }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &Pattern, bytes: usize, offset: u64, version: u32) -> Vec<u8> {
        let mut buffer = vec![0; bytes];
        pattern.fill(&mut buffer, offset, version);
        buffer
    }

    /// What is written at an offset is what a reader expects there, whatever the pieces were.
    #[test]
    fn pieces_make_one_content() {
        let pattern = Pattern::new(1);
        let whole = filled(&pattern, 3 * PERIOD, 0, 2);
        for offset in [0, 512, 4096, PERIOD - 512, PERIOD, 2 * PERIOD + 1024] {
            let piece = whole.get(offset..offset + 8192.min(whole.len() - offset)).unwrap();
            assert_eq!(pattern.compare(piece, offset as u64, 2), Ok(()));
            assert_eq!(piece, filled(&pattern, piece.len(), offset as u64, 2));
        }
    }

    /// A buffer is used again for the same place of another period.
    #[test]
    fn stamping_anew_is_as_good_as_filling() {
        let pattern = Pattern::new(1);
        let mut buffer = filled(&pattern, 1 << 20, 0, 1);
        pattern.stamp(&mut buffer, 5 << 20, 9);
        assert_eq!(buffer, filled(&pattern, 1 << 20, 5 << 20, 9));
    }

    /// Each byte counts, and the place of the first wrong one is told.
    #[test]
    fn a_turned_byte_is_found_where_it_is() {
        let pattern = Pattern::new(3);
        for at in [0, 7, 8, 511, 512, 4095] {
            let mut piece = filled(&pattern, 4096, 8192, 1);
            piece[at] ^= 0x40;
            let wrong = pattern.compare(&piece, 8192, 1).unwrap_err();
            assert_eq!((wrong.offset, wrong.read ^ wrong.written), (8192 + at as u64, 0x40));
        }
    }

    /// Other content of our own is wrong, too: of another place, an older version, another file.
    #[test]
    fn stale_and_misplaced_content_is_wrong() {
        let pattern = Pattern::new(3);
        let piece = filled(&pattern, 4096, 0, 1);
        assert!(pattern.compare(&piece, PERIOD as u64, 1).is_err());
        assert!(pattern.compare(&piece, 0, 2).is_err());
        assert!(pattern.other(4).compare(&piece, 0, 1).is_err());
        assert!(pattern.compare(&vec![0; 4096], 0, 1).is_err());
    }
}
