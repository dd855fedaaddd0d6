//! Checks a file system that nobody serves, and repairs what can be repaired without guessing (Architecture section 3,
//! "Checking"; section 5, "Rollback").
//!
//! Every record is opened, so that one moved, changed or of another file system is found; then everything that two
//! records say about each other is compared: entries and link counts, maps and their set-hashes, inline data and who
//! names it, segments and their live bytes, totals. A single record that was put back from an older copy opens, but
//! does not fit the set-hash of its directory or file. With the data key, every piece of data is opened as well.
//!
//! `objects`, `entries`, `storage` and `contents` are the passes, in this order; each goes over records in the order of their keys
//! and keeps no more than a row of `table` for each object. `problem` is what they find, `repair` what follows from it
//! and when that is proven, `mend` how it is done.

mod contents;
mod cursor;
mod entries;
mod keys_at_hand;
mod mend;
mod objects;
mod others;
mod paths;
mod problem;
mod repair;
mod storage_use;
mod table;
mod walk;

use storage::{BoxFuture, Keyspace, Place};

pub use self::problem::{Finding, Problem};
pub use self::repair::Repair;
use crate::{FsError, Parts, Result, Settings, core::Core, keys, lease::Which};

/// Problems that a report lists; more are counted.
const PROBLEMS_MAX: usize = 1000;

/// Repairs that one round makes; what is left is found again by the next.
const REPAIRS_AT_ONCE: usize = 100_000;

/// What a check does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Opens every piece of data too; the data key has to be at hand.
    pub open_data: bool,
    /// Repairs what is proven, and checks again. Without this nothing is written.
    pub repair: bool,
}

/// What a check is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Inodes, orphans, maps and inline data.
    Objects,
    /// Directory entries.
    Names,
    /// Segments, live bytes, replies and records of the protocol server.
    Storage,
    /// The seals of data.
    Contents,
    /// Repairs.
    Repairs,
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// With what.
    pub phase: Phase,
    /// Of what the phase goes through.
    pub done: u64,
    /// How many there will be, as far as the records say; 0 if they do not.
    pub done_of: u64,
    /// Bytes looked at.
    pub bytes: u64,
    /// How many there will be; 0 if that is not known.
    pub bytes_of: u64,
}

/// A repair that is under way.
pub trait Repairing: Send {
    /// It is durable, or it was not made.
    fn done(self: Box<Self>, outcome: Result<(), &FsError>);
}

/// Whoever watches a check.
pub trait Observer: Send + Sync {
    /// Called often: for each page of records, each extent of data.
    fn progress(&self, progress: &Progress);

    /// Called for each extent of a file's map that lies in a segment, with its place, in no particular order.
    fn placed(&self, _place: &Place) {}

    /// Writes down that a repair is about to be made. If that fails, the repair is not made and the check ends.
    fn begin<'a>(&'a self, repair: &'a Repair) -> BoxFuture<'a, Result<Box<dyn Repairing>, String>>;
}

/// Watches nothing and writes nothing down.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn progress(&self, _progress: &Progress) {}

    fn begin<'a>(&'a self, _repair: &'a Repair) -> BoxFuture<'a, Result<Box<dyn Repairing>, String>> {
        Box::pin(std::future::ready(Ok(Box::new(Self) as Box<dyn Repairing>)))
    }
}

impl Repairing for Unobserved {
    fn done(self: Box<Self>, _outcome: Result<(), &FsError>) {}
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records opened.
    pub records: u64,
    /// Objects of all types.
    pub objects: u64,
    /// Objects without names whose removal is under way; the server ends it.
    pub orphans: u64,
    /// Entries in directories.
    pub entries: u64,
    /// Extents in maps.
    pub extents: u64,
    /// Segments there are.
    pub segments: u64,
    /// Bytes of all segments.
    pub segment_bytes: u64,
    /// Segments that no map entry names: what an interrupted flush leaves, or what has been overwritten whole. No damage.
    pub unused_segments: u64,
    /// Bytes of those.
    pub unused_segment_bytes: u64,
    /// Bytes of data whose seals were opened; 0 without the data key.
    pub data_bytes_opened: u64,
    /// Whether data seals were checked at all.
    pub data_checked: bool,
    /// What is wrong, up to a bound; after a repair, what is still wrong.
    pub problems: Vec<Finding>,
    /// Problems beyond the bound.
    pub problems_more: u64,
    /// Repairs made.
    pub repairs: u64,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Something is wrong, and all of it can be repaired without guessing.
    #[must_use]
    pub fn is_repairable(&self) -> bool {
        !self.is_clean() && self.problems_more == 0 && self.problems.iter().all(|found| found.repair.is_some())
    }
}

/// Checks everything in the shard, and changes nothing. Nobody else may have it open.
///
/// `open_data` also opens every piece of data, for which the data key has to be at hand.
///
/// # Errors
/// As [`examine`].
pub async fn check(parts: Parts, settings: Settings, open_data: bool) -> Result<Report> {
    examine(parts, settings, Options { open_data, repair: false }, &Unobserved).await
}

/// Checks everything in the shard, and repairs what is proven if told so. Nobody else may have it open.
///
/// # Errors
/// [`FsError::Sealed`] without a key that is needed, [`FsError::NotFound`] if there is no file system,
/// [`FsError::Io`] if the disk fails, the superblock cannot be read, or a repair cannot be written down or committed:
/// repairs made before that are durable, and the next check goes on with the rest. Whatever is wrong with the file
/// system is in the report.
pub async fn examine(parts: Parts, settings: Settings, options: Options, observer: &dyn Observer) -> Result<Report> {
    let core = Core::new(parts, settings)?;
    if core.get_raw(Keyspace::Records, keys::SUPERBLOCK).await?.is_none() {
        return Err(FsError::NotFound);
    }
    let outcome = core.examine(options, observer).await;
    core.keys.wipe(Which::Data);
    core.keys.wipe(Which::Metadata);
    outcome
}

impl Core {
    async fn examine(&self, options: Options, observer: &dyn Observer) -> Result<Report> {
        self.fetch_one(Which::Metadata).await?;
        // Of what opening reads, a check reads only the superblock: the rest is what it looks at.
        self.ready.store(true, std::sync::atomic::Ordering::Release);
        self.get_ready().await?;
        if options.open_data {
            self.fetch_one(Which::Data).await?;
        }
        let (mut report, mut repairs) = self.walk(options.open_data, observer).await?;
        while options.repair && !repairs.is_empty() {
            let made = self.mend_all(&repairs, observer).await?;
            // No repair touches data: what is known of it still holds.
            let (mut again, next) = self.walk(false, observer).await?;
            again.keep_data(report);
            again.repairs += made;
            report = again;
            // A repair that changes nothing is a fault of ours, and no reason to go on for ever.
            if next == repairs {
                break;
            }
            repairs = next;
        }
        Ok(report)
    }
}

impl Report {
    /// Takes over from the round before what a walk without data does not find out.
    fn keep_data(&mut self, before: Self) {
        self.data_checked = before.data_checked;
        self.data_bytes_opened = before.data_bytes_opened;
        self.repairs = before.repairs;
        for found in before.problems {
            if matches!(found.problem, Problem::Data { .. }) {
                self.list(found);
            }
        }
    }

    fn list(&mut self, found: Finding) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(found);
        } else {
            self.problems_more += 1;
        }
    }
}
