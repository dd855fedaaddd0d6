//! Makes files (OPEN with create and CLOSE in one compound) or directories, one after the other.

use nfs_wire::nfs4::{NfsFh4, StateOwner4};

use super::name;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// What is made.
pub(crate) enum Made {
    /// Empty files, by this open owner.
    Files(StateOwner4),
    /// Directories.
    Directories,
}

/// The work.
pub(crate) struct Make {
    pub(crate) made: Made,
    pub(crate) directory: NfsFh4,
    pub(crate) client: u32,
    /// How many were begun; at the end, how many there are.
    pub(crate) next: u64,
    /// Their handles, if somebody wants them.
    pub(crate) handles: Option<Vec<NfsFh4>>,
}

impl Make {
    /// In this directory, under this client's names.
    pub(crate) fn new(made: Made, directory: NfsFh4, client: u32) -> Self {
        Self { made, directory, client, next: 0, handles: None }
    }
}

impl Work for Make {
    type Request = u64;

    fn next(&mut self) -> Option<(Step, u64)> {
        let nth = self.next;
        self.next += 1;
        let name = name(self.client, nth);
        let step = match &self.made {
            Made::Files(owner) => step::make_file(&self.directory, owner, &name),
            Made::Directories => step::make_directory(&self.directory, &name),
        };
        Some((step, nth))
    }

    fn reply(&mut self, nth: u64, mut results: Results) -> Result<Outcome<u64>, String> {
        let handle = results.handle()?;
        if let Some(handles) = &mut self.handles {
            let at = usize::try_from(nth).map_err(|error| error.to_string())?;
            if handles.len() <= at {
                handles.resize(at + 1, NfsFh4::default());
            }
            if let Some(place) = handles.get_mut(at) {
                *place = handle.detached();
            }
        }
        Ok(Outcome::Done(Done::default()))
    }

    fn describe(&self, nth: &u64) -> String {
        name(self.client, *nth)
    }
}
