//! Checks a file system that nobody serves (Architecture section 3, "Checking"; section 5, "Rollback").
//!
//! Every record is opened, so that one moved, changed or of another file system is found; then everything that two
//! records say about each other is compared: entries and link counts, maps and their set-hashes, inline data and who
//! names it, segments and their live bytes, totals. A single record that was put back from an older copy opens, but
//! does not fit the set-hash of its directory or file. With the data key, every piece of data can be opened as well.

mod compare;
mod data;
mod gather;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    FsError, Parts, Result, Settings,
    core::Core,
    lease::Which,
    record::{Counters, InodeRecord, Orphan, Usage},
};

/// Problems that a report lists; more are counted.
const PROBLEMS_MAX: usize = 1000;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A record does not open or makes no sense.
    Unreadable {
        /// The record's key in hexadecimal.
        key: String,
        /// Why.
        why: String,
    },
    /// A record that must be there is not.
    Missing(String),
    /// An entry leads to an object that does not exist.
    Dangling {
        /// The directory.
        directory: u64,
        /// Where the entry leads.
        fileid: u64,
    },
    /// Something that belongs to no object.
    Leaked(String),
    /// An object's record and what there is differ.
    Mismatch {
        /// The object.
        fileid: u64,
        /// In what they differ, and how.
        what: String,
    },
    /// Totals differ from what was counted. Nothing is lost by that.
    Totals(String),
    /// Data that does not verify or cannot be read.
    Data {
        /// The file.
        fileid: u64,
        /// Where in the file.
        offset: u64,
        /// Why.
        why: String,
    },
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable { key, why } => write!(f, "record {key}: {why}"),
            Self::Missing(what) => write!(f, "missing: {what}"),
            Self::Dangling { directory, fileid } => {
                write!(f, "directory {directory} has an entry for object {fileid}, which does not exist")
            }
            Self::Leaked(what) => write!(f, "belongs to no object: {what}"),
            Self::Mismatch { fileid, what } => write!(f, "object {fileid}: {what}"),
            Self::Totals(what) => write!(f, "totals: {what}"),
            Self::Data { fileid, offset, why } => write!(f, "data of object {fileid} at {offset}: {why}"),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records opened.
    pub records: u64,
    /// Objects of all types.
    pub objects: u64,
    /// Entries in directories.
    pub entries: u64,
    /// Extents in maps.
    pub extents: u64,
    /// Bytes of data whose seals were opened; 0 without the data key.
    pub data_bytes_opened: u64,
    /// Whether data seals were checked at all.
    pub data_checked: bool,
    /// What is wrong, up to a bound.
    pub problems: Vec<Problem>,
    /// Problems beyond the bound.
    pub problems_more: u64,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.problems_more += 1;
        }
    }
}

/// Sums over the entries of a directory or of a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    entries: u64,
    /// Markers of a directory, mapped bytes of a file.
    mapped: u64,
    name_bytes: u64,
    hash: u128,
    subdirectories: u64,
    /// Where the last extent that counts ends.
    end: u64,
}

/// Everything that is kept of one object.
#[derive(Default)]
struct Object {
    record: Option<Box<InodeRecord>>,
    sums: Sums,
    /// Entries that lead here.
    links: u64,
    /// The directory of the last of them.
    parent: u64,
    orphan: Option<Orphan>,
}

/// What all records together say.
#[derive(Default)]
struct Gathered {
    objects: BTreeMap<u64, Object>,
    /// Inline extents that maps name, by (fileid, extent).
    inline: std::collections::BTreeSet<(u64, u64)>,
    live: BTreeMap<u64, i64>,
    live_records: BTreeMap<u64, i64>,
    /// The furthest that maps reach into each segment.
    reach: BTreeMap<u64, u64>,
    usage: Option<Usage>,
    inodes: u128,
    counters: Option<Counters>,
    highest_extent: u64,
    highest_change: u64,
}

/// Checks everything in the shard. Nobody else may have it open.
///
/// `open_data` also opens every piece of data, for which the data key has to be at hand.
///
/// # Errors
/// [`FsError::Sealed`] without the metadata key, [`FsError::NotFound`] if there is no file system,
/// [`FsError::Io`] if the disk fails. Whatever is wrong with the file system is in the report.
pub async fn check(parts: Parts, settings: Settings, open_data: bool) -> Result<Report> {
    let core = Arc::new(Core::new(parts, settings)?);
    if core.get_raw(storage::Keyspace::Records, crate::keys::SUPERBLOCK).await?.is_none() {
        return Err(FsError::NotFound);
    }
    core.fetch_one(Which::Metadata).await?;
    core.get_ready().await?;
    if open_data {
        core.fetch_one(Which::Data).await?;
    }
    let mut report = Report { data_checked: open_data, ..Report::default() };
    let gathered = core.gather(&mut report, open_data).await?;
    core.compare_objects(&gathered, &mut report);
    core.compare_storage(gathered, &mut report).await?;
    core.keys.wipe(Which::Data);
    core.keys.wipe(Which::Metadata);
    Ok(report)
}
