//! Writes a file in pieces of 1 MiB from its beginning to its end, with a COMMIT for each 16 MiB.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use nfs_wire::nfs4::{StableHow4, Verifier4};

use crate::nfs::file::TestFile;
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// The bytes of one WRITE.
pub(crate) const PIECE: usize = 1 << 20;
/// The pieces of one COMMIT.
const COMMITTED_PIECES: u64 = 16;

/// The work.
pub(crate) struct Write<'a> {
    file: &'a mut TestFile,
    /// Whether it begins again at the end of the file.
    again: bool,
    next: u64,
    uncommitted: u64,
    verifier: Option<Verifier4>,
    on_their_way: HashSet<u64>,
    /// Pieces whose memory is used again: only their stamps have to be made.
    spare: Vec<BytesMut>,
}

/// What is on its way.
pub(crate) enum Request {
    /// A piece at its offset.
    Write { offset: u64, version: u32, data: Bytes },
    /// All that was acknowledged before.
    Commit,
}

impl<'a> Write<'a> {
    /// Writes the file, once or again and again.
    pub(crate) fn new(file: &'a mut TestFile, again: bool) -> Self {
        let (on_their_way, spare) = (HashSet::new(), Vec::new());
        Self { file, again, next: 0, uncommitted: 0, verifier: None, on_their_way, spare }
    }

    fn piece(&mut self, offset: u64, version: u32) -> Bytes {
        let mut data = match self.spare.pop() {
            Some(data) => data,
            None => {
                let mut data = BytesMut::zeroed(PIECE);
                self.file.pattern.fill(&mut data, 0, version);
                data
            }
        };
        self.file.pattern.stamp(&mut data, offset, version);
        data.freeze()
    }

    /// A new verifier means that the server may have lost what it had not made durable. RFC 8881, section 18.3.3.
    fn check_verifier(&mut self, verifier: Verifier4) -> Result<(), String> {
        match *self.verifier.get_or_insert(verifier) == verifier {
            true => Ok(()),
            false => Err(format!("{}: the write verifier changed: unstable data may be lost", self.file.name)),
        }
    }
}

impl Work for Write<'_> {
    type Request = Request;

    fn next(&mut self) -> Option<(Step, Request)> {
        if self.again && self.next >= self.file.bytes() {
            self.next = 0;
        }
        let offset = self.next;
        if offset >= self.file.bytes() || !self.on_their_way.insert(offset) {
            return None;
        }
        self.next += PIECE as u64;
        let version = self.file.version(offset) + 1;
        let data = self.piece(offset, version);
        let step = step::write(&self.file.handle, self.file.stateid, offset, data.clone(), StableHow4::Unstable);
        Some((step, Request::Write { offset, version, data }))
    }

    fn reply(&mut self, request: Request, mut results: Results) -> Result<Outcome<Request>, String> {
        let Request::Write { offset, version, data } = request else {
            self.check_verifier(results.committed()?)?;
            return Ok(Outcome::Done(Done { commit: true, ..Done::default() }));
        };
        let written = results.written()?;
        self.check_verifier(written.writeverf)?;
        if written.count as usize != PIECE {
            return Err(format!("{}: {} bytes written at {offset} instead of {PIECE}", self.file.name, written.count));
        }
        self.file.acknowledge(offset, PIECE, version);
        self.on_their_way.remove(&offset);
        self.spare.extend(data.try_into_mut());
        self.uncommitted += 1;
        let done = Done { bytes: PIECE as u64, ..Done::default() };
        if self.uncommitted < COMMITTED_PIECES {
            return Ok(Outcome::Done(done));
        }
        self.uncommitted = 0;
        Ok(Outcome::DoneThen(done, step::commit(&self.file.handle), Request::Commit))
    }

    fn finish(&mut self) -> Option<(Step, Request)> {
        let left = std::mem::take(&mut self.uncommitted);
        (left > 0).then(|| (step::commit(&self.file.handle), Request::Commit))
    }

    fn describe(&self, request: &Request) -> String {
        match request {
            Request::Write { offset, .. } => format!("{} at {offset}", self.file.name),
            Request::Commit => self.file.name.clone(),
        }
    }
}
