//! What can be repaired without guessing, and what has to be sound for that.
//!
//! What follows from other records is repaired from them: counts and sums. What nobody names is freed, if everything
//! that could name it was read and fits its set-hash. A set-hash itself is the evidence against an older record that was
//! put back, so it is never repaired; neither is anything that would make up names or contents.

use crate::fsck::problem::segment_name;

/// A repair: one batch, durable whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Sets the live bytes of a segment.
    LiveBytes {
        /// The segment.
        segment: u64,
        /// As the record says; none if it does not open.
        recorded: Option<i64>,
        /// As the maps say.
        counted: i64,
    },
    /// Sets the totals of objects and bytes.
    Totals {
        /// Objects there are.
        objects: i64,
        /// Their metered data bytes.
        data: i64,
    },
    /// Sets what an object's record counts of its own entries.
    Counts {
        /// A directory or a file.
        fileid: u64,
        /// Entries of the directory or the map.
        entries: u64,
        /// Markers of the directory, or mapped bytes of the file.
        mapped: u64,
        /// Bytes of names.
        name_bytes: u64,
    },
    /// Sets the number of an object's links.
    Links {
        /// The object.
        fileid: u64,
        /// As its record says.
        recorded: u32,
        /// As entries and orphan records say.
        links: u32,
    },
    /// Gives an object without links the orphan record by which the server removes it.
    PutOrphan {
        /// The object.
        fileid: u64,
    },
    /// Takes from an orphan record that its object has no names, or removes the record if nothing else is in it.
    NamedOrphan {
        /// The object.
        fileid: u64,
    },
    /// Removes the orphan record of an object that does not exist.
    ForgetOrphan {
        /// The object.
        fileid: u64,
    },
    /// Frees inline data that no map entry names.
    FreeInline {
        /// The object that it belonged to.
        fileid: u64,
        /// The extents.
        extents: Vec<u64>,
    },
    /// Frees the map of an object that does not exist, with its inline data.
    FreeMap {
        /// The object.
        fileid: u64,
        /// Where the map entries begin in the file.
        starts: Vec<u64>,
    },
    /// Frees markers of removed names in a directory that does not exist.
    FreeMarkers {
        /// The directory.
        directory: u64,
        /// Their cookies.
        cookies: Vec<u64>,
    },
    /// Deletes a segment that no map entry names.
    FreeSegment {
        /// The segment.
        segment: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// Removes a stored reply, or a record of the protocol server, that does not open: nobody can use it any more.
    Forget {
        /// The record's key.
        key: Vec<u8>,
        /// What such a record is.
        class: &'static str,
    },
}

/// What was found sound on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evidence {
    /// Every inode record opens, and the sum over them fits.
    pub(super) inodes: bool,
    /// Every entry opens and fits the set-hash of its directory.
    pub(super) entries: bool,
    /// Every map entry opens and fits the set-hash of its file.
    pub(super) maps: bool,
    /// Every orphan record opens.
    pub(super) orphans: bool,
    /// The reservations of counters open, and nothing beyond them is in use.
    pub(super) counters: bool,
    /// No entry leads to an object that does not exist.
    pub(super) reachable: bool,
}

impl Evidence {
    /// Nothing unsound so far.
    pub(super) const SOUND: Self =
        Self { inodes: true, entries: true, maps: true, orphans: true, counters: true, reachable: true };
}

impl Repair {
    /// One word for the kind of repair.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LiveBytes { .. } => "live-bytes",
            Self::Totals { .. } => "totals",
            Self::Counts { .. } => "counts",
            Self::Links { .. } => "links",
            Self::PutOrphan { .. } => "put-orphan",
            Self::NamedOrphan { .. } => "named-orphan",
            Self::ForgetOrphan { .. } => "forget-orphan",
            Self::FreeInline { .. } => "free-inline",
            Self::FreeMap { .. } => "free-map",
            Self::FreeMarkers { .. } => "free-markers",
            Self::FreeSegment { .. } => "free-segment",
            Self::Forget { .. } => "forget-record",
        }
    }

    /// Whether nothing is guessed by it.
    pub(super) const fn is_proven(&self, sound: &Evidence) -> bool {
        match self {
            Self::LiveBytes { .. } | Self::FreeSegment { .. } => sound.inodes && sound.maps,
            Self::Totals { .. } => sound.inodes,
            Self::Counts { .. } => sound.inodes && sound.counters,
            Self::Links { .. } => sound.inodes && sound.counters && sound.entries && sound.orphans,
            Self::PutOrphan { .. } | Self::NamedOrphan { .. } => sound.inodes && sound.entries,
            Self::ForgetOrphan { .. } => sound.inodes && sound.reachable,
            Self::FreeInline { .. } => sound.inodes && sound.maps && sound.reachable,
            Self::FreeMap { .. } | Self::FreeMarkers { .. } => sound.inodes && sound.entries && sound.reachable,
            Self::Forget { .. } => true,
        }
    }
}

impl std::fmt::Display for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LiveBytes { segment, recorded: Some(recorded), counted } => {
                write!(f, "segment {}: live bytes were {recorded}, set to {counted}", segment_name(*segment))
            }
            Self::LiveBytes { segment, recorded: None, counted } => {
                write!(f, "segment {}: live bytes were unreadable, set to {counted}", segment_name(*segment))
            }
            Self::Totals { objects, data } => write!(f, "totals were wrong, set to {objects} objects, {data} bytes"),
            Self::Counts { fileid, entries, .. } => {
                write!(f, "object {fileid}: its counts were wrong, set to those of its {entries} entries")
            }
            Self::Links { fileid, recorded, links } => {
                write!(f, "object {fileid}: links were {recorded}, set to {links}")
            }
            Self::PutOrphan { fileid } => {
                write!(f, "object {fileid}: without names and unlinked, left to the server to remove")
            }
            Self::NamedOrphan { fileid } => {
                write!(f, "object {fileid}: has names, its orphan record does not say otherwise any more")
            }
            Self::ForgetOrphan { fileid } => write!(f, "object {fileid}: does not exist, its orphan record is removed"),
            Self::FreeInline { fileid, extents } => {
                write!(f, "object {fileid}: {} inline extents that no map named are freed", extents.len())
            }
            Self::FreeMap { fileid, starts } => {
                write!(f, "object {fileid}: does not exist, {} entries of its map are freed", starts.len())
            }
            Self::FreeMarkers { directory, cookies } => {
                write!(f, "directory {directory}: does not exist, {} markers in it are freed", cookies.len())
            }
            Self::FreeSegment { segment, bytes } => {
                write!(f, "segment {}: nothing named it, its {bytes} bytes are freed", segment_name(*segment))
            }
            Self::Forget { key, class } => {
                write!(f, "{class} (record {}): did not open, is removed", crate::seal::Hex(key))
            }
        }
    }
}
