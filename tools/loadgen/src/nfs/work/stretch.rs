//! Writes pieces of a file that is mostly hole, each durable when it is answered, and reads pieces of it: what was written is
//! there, all else is zeros.

use std::iter::Copied;
use std::ops::Range;
use std::slice::Iter;

use bytes::Bytes;

use super::PIECE;
use crate::nfs::file::TestFile;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

const VERSION: u32 = 1;

/// Writes.
pub(crate) struct WriteStretches<'a> {
    pub(crate) file: &'a TestFile,
    /// Where the pieces begin.
    pub(crate) offsets: Copied<Iter<'a, u64>>,
}

/// Reads.
pub(crate) struct ReadStretches<'a> {
    pub(crate) file: &'a TestFile,
    /// Where the pieces begin.
    pub(crate) offsets: Copied<Iter<'a, u64>>,
    /// What is not hole.
    pub(crate) written: &'a [Range<u64>],
}

impl ReadStretches<'_> {
    /// What must be there.
    fn expected(&self, offset: u64) -> Vec<u8> {
        let (mut full, mut content) = (vec![0; PIECE], vec![0; PIECE]);
        self.file.pattern.fill(&mut full, offset, VERSION);
        for range in self.written {
            let [start, end] = [range.start, range.end]
                .map(|at| usize::try_from(at.saturating_sub(offset)).map_or(PIECE, |at| at.min(PIECE)));
            if let (Some(to), Some(from)) = (content.get_mut(start..end), full.get(start..end)) {
                to.copy_from_slice(from);
            }
        }
        content
    }
}

impl Work for WriteStretches<'_> {
    type Request = u64;

    fn next(&mut self) -> Option<(Step, u64)> {
        let offset = self.offsets.next()?;
        let mut data = vec![0; PIECE];
        self.file.pattern.fill(&mut data, offset, VERSION);
        Some((step::write_and_commit(&self.file.handle, self.file.stateid, offset, Bytes::from(data)), offset))
    }

    fn reply(&mut self, offset: u64, mut results: Results) -> Result<Outcome<u64>, String> {
        let written = results.written()?;
        if written.count as usize != PIECE || results.committed()? != written.writeverf {
            return Err(format!("{} at {offset}: {written:?} is not all and durable", self.file.name));
        }
        Ok(Outcome::Done(Done { bytes: PIECE as u64, ..Done::default() }))
    }

    fn describe(&self, offset: &u64) -> String {
        format!("{} at {offset}", self.file.name)
    }
}

impl Work for ReadStretches<'_> {
    type Request = u64;

    fn next(&mut self) -> Option<(Step, u64)> {
        let offset = self.offsets.next()?;
        let count = u32::try_from(PIECE).unwrap_or(u32::MAX);
        Some((step::read(&self.file.handle, self.file.stateid, offset, count), offset))
    }

    fn reply(&mut self, offset: u64, mut results: Results) -> Result<Outcome<u64>, String> {
        let (data, expected) = (results.read()?.data, self.expected(offset));
        let name = &self.file.name;
        if data.len() != PIECE {
            return Err(format!("{name}: {} bytes read at {offset} instead of {PIECE}", data.len()));
        }
        let wrong = (offset..).zip(data.iter().zip(&expected)).find(|(_, (read, right))| read != right);
        if let Some((at, (read, right))) = wrong {
            return Err(format!("{name}: wrong byte at offset {at}: read {read:#04x}, written {right:#04x}"));
        }
        let bytes = PIECE as u64;
        Ok(Outcome::Done(Done { bytes, verified_bytes: bytes, ..Done::default() }))
    }

    fn describe(&self, offset: &u64) -> String {
        format!("{} at {offset}", self.file.name)
    }
}
