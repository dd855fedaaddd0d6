//! Asks for the attributes of files in turn; each must stay the file that it was.

use nfs_wire::nfs4::{Fsid4, NfsFh4};
use nfs_wire::{Attribute, Fattr4, Xdr};

use super::name;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// The work.
pub(crate) struct Getattr {
    client: u32,
    files: Vec<(Step, Option<u64>)>,
    next: usize,
}

impl Getattr {
    /// Of the files with these handles.
    pub(crate) fn new(client: u32, handles: &[NfsFh4]) -> Self {
        Self { client, files: handles.iter().map(|handle| (step::getattr(handle), None)).collect(), next: 0 }
    }
}

/// The fileid among the attributes, which come in the order of their numbers. RFC 8881, section 5.
fn fileid(attributes: &Fattr4) -> Result<u64, String> {
    let mut values = attributes.values();
    for attribute in attributes.attrmask.attributes() {
        let skipped = match attribute {
            Attribute::Type => u32::decode(&mut values).map(drop),
            Attribute::Change | Attribute::Size => u64::decode(&mut values).map(drop),
            Attribute::Fsid => Fsid4::decode(&mut values).map(drop),
            Attribute::Fileid => return u64::decode(&mut values).map_err(|error| format!("fileid: {error}")),
            other => return Err(format!("{other:?} where the fileid should be")),
        };
        skipped.map_err(|error| format!("{attribute:?}: {error}"))?;
    }
    Err("no fileid among the attributes".to_owned())
}

impl Work for Getattr {
    type Request = usize;

    fn next(&mut self) -> Option<(Step, usize)> {
        let nth = self.next;
        self.next = (nth + 1) % self.files.len().max(1);
        self.files.get(nth).map(|(step, _)| (step.clone(), nth))
    }

    fn reply(&mut self, nth: usize, mut results: Results) -> Result<Outcome<usize>, String> {
        let found = fileid(&results.attributes()?)?;
        if let Some((_, known)) = self.files.get_mut(nth)
            && *known.get_or_insert(found) != found
        {
            return Err(format!("{}: its fileid is {found} and was {known:?}", name(self.client, nth as u64)));
        }
        Ok(Outcome::Done(Done::default()))
    }

    fn describe(&self, nth: &usize) -> String {
        name(self.client, *nth as u64)
    }
}
