//! Removes what was made. A name that is not there any more is an error: its creation was acknowledged.

use nfs_wire::nfs4::NfsFh4;

use super::name;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// The work.
pub(crate) struct Remove {
    pub(crate) directory: NfsFh4,
    pub(crate) client: u32,
    /// The next to be removed.
    pub(crate) next: u64,
    /// How many were made.
    pub(crate) made: u64,
    /// Each how-manieth is removed.
    pub(crate) every: u64,
}

impl Work for Remove {
    type Request = u64;

    fn next(&mut self) -> Option<(Step, u64)> {
        let nth = self.next;
        (nth < self.made).then(|| {
            self.next += self.every;
            (step::remove(&self.directory, &name(self.client, nth)), nth)
        })
    }

    fn reply(&mut self, _nth: u64, _results: Results) -> Result<Outcome<u64>, String> {
        Ok(Outcome::Done(Done::default()))
    }

    fn describe(&self, nth: &u64) -> String {
        name(self.client, *nth)
    }
}
