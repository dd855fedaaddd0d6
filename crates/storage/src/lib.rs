//! The storage traits, their limits, and the embedded engine (Architecture section 4).
//!
//! A [`Shard`] is an ordered key-value map with one writer; its companion [`Segments`] keeps bulk bytes in append-only
//! files. Both are small enough for one machine and strong enough for a distributed engine. They know nothing of files
//! or keys: everything given to them is sealed already.
//!
//! - [`Engine`] is the embedded implementation, [`memory`] one that keeps everything in memory, and [`faulty`] wraps
//!   either to cut, delay, reorder and fail.
//! - [`SealedRecords`] keeps the small records of services (keys, identities, the control plane) sealed in a shard.

mod buffers;
pub mod embedded;
mod error;
pub mod faulty;
pub mod memory;
mod records;
mod segments;
mod shard;
#[cfg(test)]
mod suite;

use std::{pin::Pin, sync::Arc};

pub use buffers::SealedBuffer;
pub use embedded::{Budgets, DirectoryLock, Engine, StoredValue, stored_values};
pub use error::{CommitError, StorageError};
pub use records::{Change, SealedRecords};
pub use segments::{Place, Sealed, SegmentId, Segments};
pub use shard::{Batch, Keyspace, Limits, Now, Page, Scan, Seq, Shard, Snapshot, Space};

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What opening a store gives: its map and its segments.
pub type Opening = (Arc<dyn Shard>, Arc<dyn Segments>);
