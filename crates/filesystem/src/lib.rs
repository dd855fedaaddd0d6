//! Inodes, directories, extents, attributes, quota: POSIX meaning over `storage` (Architecture section 3 and 5).
//!
//! One process owns a file system at a time, so authority is in memory and the engine only has to make it durable.
//! An operation validates against memory under short locks, applies itself, and takes its place in the commit queue;
//! one committer drains the queue into durable batches. Reading order: `inode` and `directory` and `file` (what is in
//! memory), `operation` and `committer` (how it becomes durable), `ops` (the operations), `flush` and `extent` (data),
//! `lease` (keys), `fsck`.

mod attributes;
mod budget;
mod cleaner;
mod codec;
mod committer;
mod context;
mod core;
mod counters;
mod directory;
mod dirty;
mod error;
mod extent;
mod file;
mod flush;
pub mod fsck;
mod handle;
mod inode;
mod janitor;
mod keys;
pub mod lease;
mod name;
mod names;
mod open;
mod operation;
mod ops;
mod permission;
mod plain;
mod protocol_records;
mod reaper;
mod record;
mod reply;
mod seal;
mod settings;

pub use crate::core::Parts;
pub use attributes::{AccessMask, Attributes, ChangeInfo, Device, Kind, SetAttributes, SetTime};
pub use budget::Budget;
pub use context::{Context, Credentials, Watermark};
pub use env::WallTime;
pub use error::{FsError, Result, SealCause};
pub use handle::{FileHandle, HANDLE_BYTES};
pub use inode::Node;
pub use lease::{KeySource, KeyTrouble, LeaseState, LeaseStatus, Which};
pub use name::{NAME_BYTES_MAX, Name};
pub use open::{FileSystem, Statistics};
pub use ops::{
    CreateHow, Created, DirectoryPage, Entry, NewObject, OpenCreated, ReadData, RemoveWhat, Removed, Renamed,
    Stability, Written,
};
pub use protocol_records::{FoundRecords, RECORD_KEY_BYTES_MAX, RECORD_VALUE_BYTES_MAX, RecordChange};
pub use reaper::OpenHold;
pub use reply::{REPLY_BYTES_MAX, ReplyHold, ReplyKey};
pub use seal::sealed_part;
pub use settings::Settings;
