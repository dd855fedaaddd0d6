//! Reads small files back by their names and compares them.

use nfs_wire::nfs4::NfsFh4;

use super::name;
use super::small::{SMALL_BYTES, Small};
use crate::nfs::pattern::Pattern;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// The work.
pub(crate) struct ReadSmall {
    pub(crate) directory: NfsFh4,
    pub(crate) client: u32,
    pub(crate) pattern: Pattern,
    /// The next to be read.
    pub(crate) next: u64,
    /// How many there are.
    pub(crate) made: u64,
    /// Each how-manieth is read.
    pub(crate) every: u64,
}

impl Work for ReadSmall {
    type Request = u64;

    fn next(&mut self) -> Option<(Step, u64)> {
        let nth = self.next;
        (nth < self.made && self.every > 0).then(|| {
            self.next += self.every;
            let more_than_there_is = u32::try_from(2 * SMALL_BYTES).unwrap_or(u32::MAX);
            (step::read_name(&self.directory, &name(self.client, nth), more_than_there_is), nth)
        })
    }

    fn reply(&mut self, nth: u64, mut results: Results) -> Result<Outcome<u64>, String> {
        let name = name(self.client, nth);
        let read = results.read()?;
        if read.data.len() != SMALL_BYTES || !read.eof {
            return Err(format!("{name}: {} bytes of {SMALL_BYTES}, end of file: {}", read.data.len(), read.eof));
        }
        let place = Small::place(nth);
        self.pattern.compare(&read.data, place, 1).map_err(|wrong| {
            let offset = wrong.offset - place;
            format!("{name}: wrong byte at offset {offset}: read {:#04x}, written {:#04x}", wrong.read, wrong.written)
        })?;
        let bytes = SMALL_BYTES as u64;
        Ok(Outcome::Done(Done { bytes, verified_bytes: bytes, ..Done::default() }))
    }

    fn describe(&self, nth: &u64) -> String {
        name(self.client, *nth)
    }
}
