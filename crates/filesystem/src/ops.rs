//! One file for each operation. All follow one pattern: load what is missing, then, under the locks of all inodes
//! concerned, validate against memory, apply, and take a place in the commit queue. Between the first change and the
//! queue there is no await, so a cancelled caller leaves nothing half done.

mod access;
mod attributes;
mod commit;
mod create;
mod link;
mod lookup;
mod read;
mod read_directory;
mod remove;
mod rename;
mod set_attributes;
mod write;

pub use create::{CreateHow, Created, NewObject, OpenCreated};
pub use read::ReadData;
pub use read_directory::{DirectoryPage, Entry};
pub use remove::{RemoveWhat, Removed};
pub use rename::Renamed;
pub use write::{Stability, Written};
