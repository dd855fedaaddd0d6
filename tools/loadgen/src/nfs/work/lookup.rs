//! Looks names up in turn; each must lead to the handle that its creation gave.

use nfs_wire::nfs4::NfsFh4;

use super::name;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// The work.
pub(crate) struct Lookup {
    client: u32,
    files: Vec<(Step, NfsFh4)>,
    next: usize,
}

impl Lookup {
    /// Of this client's files in the directory, whose handles these are.
    pub(crate) fn new(client: u32, directory: &NfsFh4, handles: Vec<NfsFh4>) -> Self {
        let step = |nth| step::lookup(directory, &name(client, nth));
        let files = (0..).zip(handles).map(|(nth, handle)| (step(nth), handle)).collect();
        Self { client, files, next: 0 }
    }
}

impl Work for Lookup {
    type Request = usize;

    fn next(&mut self) -> Option<(Step, usize)> {
        let nth = self.next;
        self.next = (nth + 1) % self.files.len().max(1);
        self.files.get(nth).map(|(step, _)| (step.clone(), nth))
    }

    fn reply(&mut self, nth: usize, mut results: Results) -> Result<Outcome<usize>, String> {
        let found = results.handle()?;
        if self.files.get(nth).is_none_or(|(_, handle)| *handle != found) {
            return Err(format!("{}: leads to another file", self.describe(&nth)));
        }
        results.attributes()?;
        Ok(Outcome::Done(Done::default()))
    }

    fn describe(&self, nth: &usize) -> String {
        name(self.client, *nth as u64)
    }
}
