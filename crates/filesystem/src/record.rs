//! The contents of the sealed records, each with its version byte (docs/on-disk-format.md, "Records").

mod entry;
mod extent;
mod inode;
mod singles;

pub(crate) use entry::EntryRecord;
pub(crate) use extent::{BLOCK, Extent, MapEntry, Source, WINDOW};
pub(crate) use inode::InodeRecord;
pub(crate) use singles::{Counters, Orphan, Superblock, Trim, Usage};
