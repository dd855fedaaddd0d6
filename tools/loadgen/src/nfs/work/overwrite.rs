//! Overwrites 4 KiB at random places of a file, each durable when it is answered.

use std::collections::HashSet;

use bytes::Bytes;
use nfs_wire::nfs4::StableHow4;

use crate::dice::Dice;
use crate::nfs::file::{BLOCK, TestFile};
use crate::nfs::pipeline::{Outcome, Work};
use crate::nfs::results::Results;
use crate::nfs::step::{self, Step};
use crate::nfs::tally::Done;

/// The work.
pub(crate) struct Overwrite<'a> {
    file: &'a mut TestFile,
    /// Whether each is an UNSTABLE WRITE with its COMMIT instead of a FILE_SYNC WRITE.
    commit: bool,
    dice: Dice,
    on_their_way: HashSet<u64>,
}

/// A block and its new version.
pub(crate) struct Request {
    offset: u64,
    version: u32,
}

impl<'a> Overwrite<'a> {
    /// In this file.
    pub(crate) fn new(file: &'a mut TestFile, commit: bool, dice: Dice) -> Self {
        Self { file, commit, dice, on_their_way: HashSet::new() }
    }
}

impl Work for Overwrite<'_> {
    type Request = Request;

    fn next(&mut self) -> Option<(Step, Request)> {
        // Two writes of one block at once could end in either order.
        let offset = (0..8)
            .map(|_| self.dice.below(self.file.blocks()) * BLOCK as u64)
            .find(|offset| !self.on_their_way.contains(offset))?;
        self.on_their_way.insert(offset);
        let version = self.file.version(offset) + 1;
        let mut data = vec![0; BLOCK];
        self.file.pattern.fill(&mut data, offset, version);
        let (handle, data) = (&self.file.handle, Bytes::from(data));
        let step = if self.commit {
            step::write_and_commit(handle, self.file.stateid, offset, data)
        } else {
            step::write(handle, self.file.stateid, offset, data, StableHow4::FileSync)
        };
        Some((step, Request { offset, version }))
    }

    fn reply(&mut self, request: Request, mut results: Results) -> Result<Outcome<Request>, String> {
        let written = results.written()?;
        let durable = if self.commit {
            results.committed()? == written.writeverf
        } else {
            written.committed == StableHow4::FileSync
        };
        if written.count as usize != BLOCK || !durable {
            return Err(format!("{} at {}: {written:?} is not all and durable", self.file.name, request.offset));
        }
        self.file.acknowledge(request.offset, BLOCK, request.version);
        self.on_their_way.remove(&request.offset);
        Ok(Outcome::Done(Done { bytes: BLOCK as u64, ..Done::default() }))
    }

    fn describe(&self, request: &Request) -> String {
        format!("{} at {}", self.file.name, request.offset)
    }
}
