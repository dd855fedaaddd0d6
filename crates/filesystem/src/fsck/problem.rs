//! What can be wrong, with cause and cure.

use storage::SegmentId;

use crate::{Kind, fsck::Repair};

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A record does not open or makes no sense.
    Unreadable {
        /// The record's key in hexadecimal.
        key: String,
        /// What such a record is.
        class: &'static str,
        /// The object it belongs to, if it belongs to one.
        fileid: Option<u64>,
        /// Why.
        why: String,
    },
    /// A record that must be there is not.
    Missing(String),
    /// An entry leads to an object that does not exist.
    Dangling {
        /// The directory.
        directory: u64,
        /// The entry's name, made fit to be shown.
        name: String,
        /// Where the entry leads.
        fileid: u64,
    },
    /// An object whose record says that it has names, and no entry leads to it.
    Nameless {
        /// The object.
        fileid: u64,
        /// Of which type it is.
        kind: Kind,
    },
    /// Something that belongs to no object.
    Leaked {
        /// The object that it belonged to.
        fileid: u64,
        /// What it is.
        what: String,
    },
    /// An object's record and what there is differ.
    Mismatch {
        /// The object.
        fileid: u64,
        /// In what they differ, and how.
        what: String,
    },
    /// Live bytes of a segment differ from what was counted.
    LiveBytes {
        /// The segment.
        segment: u64,
        /// As the record says.
        recorded: i64,
        /// As the maps say.
        counted: i64,
    },
    /// A segment that files need is not there, or not all of it.
    Segment {
        /// The segment.
        segment: u64,
        /// What there is of it, if anything.
        bytes: Option<u64>,
        /// How far maps reach into it.
        needed: u64,
    },
    /// Totals or counters differ from what was counted. Nothing is lost by that.
    Totals(String),
    /// An older record was put back, or one is missing: the sum over all of them does not fit.
    PutBack(String),
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

/// A problem and what can be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// The path of the object, made fit to be shown; none if it has none or cannot be told.
    pub path: Option<String>,
    /// What repairs it without guessing; none if nothing does.
    pub repair: Option<Repair>,
}

impl Problem {
    /// The object that it is about.
    #[must_use]
    pub const fn fileid(&self) -> Option<u64> {
        match self {
            Self::Unreadable { fileid, .. } => *fileid,
            Self::Dangling { directory: fileid, .. }
            | Self::Nameless { fileid, .. }
            | Self::Leaked { fileid, .. }
            | Self::Mismatch { fileid, .. }
            | Self::Data { fileid, .. } => Some(*fileid),
            Self::Missing(_) | Self::LiveBytes { .. } | Self::Segment { .. } | Self::Totals(_) | Self::PutBack(_) => {
                None
            }
        }
    }

    /// What brings such a thing about.
    #[must_use]
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::Data { .. } => "a disk changed bytes, or somebody did",
            Self::Missing(_) | Self::Segment { .. } => "it was removed, or a disk lost it",
            Self::Dangling { .. } | Self::PutBack(_) => "a record was removed, or put back from an older copy",
            Self::Mismatch { .. } => "a record was removed or put back from an older copy, or a fault of the server",
            Self::Nameless { .. } => "its entry was removed without it, or a fault of the server",
            Self::Leaked { .. } | Self::LiveBytes { .. } | Self::Totals(_) => "a fault of the server",
        }
    }
}

impl Finding {
    /// What to do about it.
    #[must_use]
    pub const fn cure(&self) -> &'static str {
        match (&self.repair, &self.problem) {
            (Some(_), _) => "`coffer fsck --repair` sets it right",
            (None, Problem::Nameless { .. }) => {
                "its contents are kept; restore the file system's directory from a backup to have its name back"
            }
            (None, Problem::Data { .. } | Problem::Segment { .. }) => {
                "restore the files from a backup; they answer with I/O errors there, and the rest is as it was"
            }
            (None, Problem::Leaked { .. } | Problem::LiveBytes { .. } | Problem::Totals(_)) => {
                "what it would be repaired from is damaged itself; see the other findings first"
            }
            (None, _) => {
                "restore the file system's directory from a backup, or copy what can be read and replace the rest"
            }
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable { key, class, fileid: Some(fileid), why } => {
                write!(f, "{class} of object {fileid} (record {key}): {why}")
            }
            Self::Unreadable { key, class, fileid: None, why } => write!(f, "{class} (record {key}): {why}"),
            Self::Missing(what) => write!(f, "missing: {what}"),
            Self::Dangling { directory, name, fileid } => {
                write!(f, "directory {directory}: the entry {name} leads to object {fileid}, which does not exist")
            }
            Self::Nameless { fileid, kind } => write!(f, "object {fileid} ({}): no name leads to it", kind_name(*kind)),
            Self::Leaked { fileid, what } => write!(f, "object {fileid}: {what} that belong to nothing"),
            Self::Mismatch { fileid, what } => write!(f, "object {fileid}: {what}"),
            Self::LiveBytes { segment, recorded, counted } => {
                write!(f, "segment {}: {recorded} live bytes recorded, {counted} counted", segment_name(*segment))
            }
            Self::Segment { segment, bytes: None, needed } => {
                write!(f, "segment {} is missing, files need {needed} bytes of it", segment_name(*segment))
            }
            Self::Segment { segment, bytes: Some(bytes), needed } => {
                write!(f, "segment {} has {bytes} bytes, files need {needed}", segment_name(*segment))
            }
            Self::Totals(what) | Self::PutBack(what) => f.write_str(what),
            Self::Data { fileid, offset, why } => write!(f, "object {fileid}: data at {offset}: {why}"),
        }
    }
}

/// A segment as its file is called.
pub(super) fn segment_name(segment: u64) -> String {
    let id = SegmentId(segment);
    format!("{}-{}", id.epoch(), id.number())
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Regular => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symbolic link",
        Kind::Fifo => "named pipe",
        Kind::Socket => "socket",
        Kind::Block => "block device",
        Kind::Character => "character device",
    }
}

/// A name as it can be shown on one line of a terminal, whatever is in it.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}
