//! Lists a directory over and over; each listing must have all of this client's names, each once.

use nfs_wire::nfs4::{NfsFh4, Verifier4};

use super::{name, prefix};
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// The work.
pub(crate) struct Readdir {
    directory: NfsFh4,
    client: u32,
    /// What all of this client's names begin with.
    prefix: String,
    files: u64,
    /// Listings that wait for their next request.
    waiting: Vec<Listing>,
}

/// A listing on its way.
pub(crate) struct Listing {
    cookie: u64,
    verifier: Verifier4,
    seen: Vec<bool>,
}

impl Readdir {
    /// Of a directory in which this client has so many files.
    pub(crate) fn new(directory: NfsFh4, client: u32, files: u64) -> Self {
        Self { directory, client, prefix: prefix(client), files, waiting: Vec::new() }
    }

    /// Notes a name if it is one of this client's.
    fn see(&self, listing: &mut Listing, found: &[u8]) -> Result<(), String> {
        let Some(number) = found.strip_prefix(self.prefix.as_bytes()) else { return Ok(()) };
        let nth = std::str::from_utf8(number).ok().and_then(|number| number.parse::<usize>().ok());
        let place = nth.and_then(|nth| listing.seen.get_mut(nth));
        let told = |what| Err(format!("{} was listed {what}", String::from_utf8_lossy(found)));
        match place.map(|seen| std::mem::replace(seen, true)) {
            Some(false) => Ok(()),
            Some(true) => told("twice"),
            None => told("and never made"),
        }
    }
}

impl Work for Readdir {
    type Request = Listing;

    fn next(&mut self) -> Option<(Step, Listing)> {
        let listing = self.waiting.pop().unwrap_or_else(|| {
            let files = usize::try_from(self.files).unwrap_or(0);
            Listing { cookie: 0, verifier: [0; 8], seen: vec![false; files] }
        });
        Some((step::readdir(&self.directory, listing.cookie, listing.verifier), listing))
    }

    fn reply(&mut self, mut listing: Listing, mut results: Results) -> Result<Outcome<Listing>, String> {
        let part = results.listing()?;
        let entries = part.reply.entries.len() as u64;
        for entry in &part.reply.entries {
            self.see(&mut listing, &entry.name)?;
            listing.cookie = entry.cookie;
        }
        listing.verifier = part.cookieverf;
        if !part.reply.eof {
            if entries == 0 {
                return Err(format!("{}: neither an entry nor the end", self.describe(&listing)));
            }
            self.waiting.push(listing);
        } else if let Some((missing, _)) = (0..).zip(&listing.seen).find(|(_, seen)| !**seen) {
            return Err(format!("{} was not listed", name(self.client, missing)));
        }
        Ok(Outcome::Done(Done { entries, ..Done::default() }))
    }

    fn describe(&self, listing: &Listing) -> String {
        format!("the listing from cookie {}", listing.cookie)
    }
}
