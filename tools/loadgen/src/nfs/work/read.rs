//! Reads a file that was written before, in order or at random, and compares what comes back.

use crate::dice::Dice;
use crate::nfs::file::TestFile;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// Which piece comes next.
pub(crate) enum Order {
    /// From the beginning to the end, once.
    Once,
    /// And again.
    Again,
    /// Any.
    Random(Dice),
}

/// The work.
pub(crate) struct Read<'a> {
    file: &'a TestFile,
    order: Order,
    piece: usize,
    /// How many pieces there are.
    pieces: u64,
    next: u64,
    /// Each how-manieth reply is compared; 0: none.
    every: u64,
    replies: u64,
}

impl<'a> Read<'a> {
    /// Pieces of this size of what was written.
    pub(crate) fn new(file: &'a TestFile, order: Order, piece: usize, every: u64) -> Self {
        Self { file, order, piece, pieces: file.written() / piece as u64, next: 0, every, replies: 0 }
    }

    fn offset(&mut self) -> Option<u64> {
        let nth = match &mut self.order {
            Order::Random(dice) => dice.below(self.pieces),
            Order::Once if self.next >= self.pieces => return None,
            Order::Once | Order::Again => self.next.checked_rem(self.pieces)?,
        };
        self.next += 1;
        Some(nth * self.piece as u64)
    }
}

impl Work for Read<'_> {
    type Request = u64;

    fn next(&mut self) -> Option<(Step, u64)> {
        let offset = self.offset()?;
        let count = u32::try_from(self.piece).unwrap_or(u32::MAX);
        Some((step::read(&self.file.handle, self.file.stateid, offset, count), offset))
    }

    fn reply(&mut self, offset: u64, mut results: Results) -> Result<Outcome<u64>, String> {
        let data = results.read()?.data;
        if data.len() != self.piece {
            let name = &self.file.name;
            return Err(format!("{name}: {} bytes read at {offset} instead of {}", data.len(), self.piece));
        }
        let bytes = self.piece as u64;
        let compared = self.every > 0 && self.replies.is_multiple_of(self.every);
        self.replies += 1;
        if compared {
            self.file.check(offset, &data)?;
        }
        Ok(Outcome::Done(Done { bytes, verified_bytes: if compared { bytes } else { 0 }, ..Done::default() }))
    }

    fn describe(&self, offset: &u64) -> String {
        format!("{} at {offset}", self.file.name)
    }
}
