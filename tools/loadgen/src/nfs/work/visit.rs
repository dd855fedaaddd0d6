//! Looks up names at random that another run has left; each must be there.

use nfs_wire::nfs4::NfsFh4;

use super::name;
use crate::dice::Dice;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// The work.
pub(crate) struct Visit {
    pub(crate) directory: NfsFh4,
    pub(crate) client: u32,
    /// How many there are.
    pub(crate) files: u64,
    pub(crate) dice: Dice,
}

impl Work for Visit {
    type Request = u64;

    fn next(&mut self) -> Option<(Step, u64)> {
        let nth = self.dice.below(self.files);
        Some((step::lookup(&self.directory, &name(self.client, nth)), nth))
    }

    fn reply(&mut self, _nth: u64, mut results: Results) -> Result<Outcome<u64>, String> {
        results.handle()?;
        results.attributes()?;
        Ok(Outcome::Done(Done::default()))
    }

    fn describe(&self, nth: &u64) -> String {
        name(self.client, *nth)
    }
}
