//! Small files as Linux writes them: OPEN with create, one WRITE that is durable when it is answered, CLOSE.

use bytes::Bytes;
use nfs_wire::nfs4::{NfsFh4, StableHow4, StateOwner4, Stateid4};

use super::name;
use crate::nfs::pattern::Pattern;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// The size of a small file.
pub(crate) const SMALL_BYTES: usize = 4096;

/// The work.
pub(crate) struct Small {
    pub(crate) directory: NfsFh4,
    pub(crate) owner: StateOwner4,
    pub(crate) client: u32,
    pub(crate) pattern: Pattern,
    /// How many were begun; at the end, how many there are.
    pub(crate) next: u64,
}

/// Where a file is on its way.
pub(crate) enum Request {
    /// It is made.
    Open { nth: u64 },
    /// It is written.
    Write { nth: u64, handle: NfsFh4, stateid: Stateid4 },
    /// It is closed.
    Close { nth: u64 },
}

impl Small {
    /// Where a small file's content stands in the pattern, so that no two files are alike.
    pub(crate) fn place(nth: u64) -> u64 {
        nth * SMALL_BYTES as u64
    }
}

impl Work for Small {
    type Request = Request;

    fn next(&mut self) -> Option<(Step, Request)> {
        let nth = self.next;
        self.next += 1;
        Some((step::open_file(&self.directory, &self.owner, &name(self.client, nth)), Request::Open { nth }))
    }

    fn reply(&mut self, request: Request, mut results: Results) -> Result<Outcome<Request>, String> {
        match request {
            Request::Open { nth } => {
                let stateid = results.opened()?.stateid;
                let handle = results.handle()?.detached();
                let mut content = vec![0; SMALL_BYTES];
                self.pattern.fill(&mut content, Self::place(nth), 1);
                let step = step::write(&handle, stateid, 0, Bytes::from(content), StableHow4::FileSync);
                Ok(Outcome::Then(step, Request::Write { nth, handle, stateid }))
            }
            Request::Write { nth, handle, stateid } => {
                let written = results.written()?;
                if written.count as usize != SMALL_BYTES || written.committed != StableHow4::FileSync {
                    return Err(format!("{}: {written:?} of a durable WRITE", name(self.client, nth)));
                }
                Ok(Outcome::Then(step::close(&handle, stateid), Request::Close { nth }))
            }
            Request::Close { .. } => Ok(Outcome::Done(Done { bytes: SMALL_BYTES as u64, ..Done::default() })),
        }
    }

    fn describe(&self, request: &Request) -> String {
        let (Request::Open { nth } | Request::Write { nth, .. } | Request::Close { nth }) = request;
        name(self.client, *nth)
    }
}
