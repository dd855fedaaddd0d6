//! The `Shard` trait: an ordered key-value map with one writer (Architecture section 4).

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{BoxFuture, CommitError, StorageError};

/// The maps of a shard. They commit together; they are apart because their values live differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyspace {
    /// Small records that are read often.
    Records,
    /// File contents on their way to segments: larger values, soon deleted.
    Inline,
}

impl Keyspace {
    /// Every keyspace.
    pub const ALL: [Self; 2] = [Self::Records, Self::Inline];
}

/// The answer to a read that must not wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Now<T> {
    /// The answer, from memory.
    Hit(T),
    /// The answer may need the disk: ask again with the method that waits.
    WouldBlock,
}

/// A place in the order of commits. Grows by at least one with each batch, over reopenings too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// What a shard takes. The committer splits groups of operations to fit, never operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys and values of one operation, together.
    pub operation_bytes: usize,
    /// Puts and deletes of one operation, together.
    pub operation_keys: usize,
    /// Keys and values of one batch, together.
    pub group_bytes: usize,
    /// Puts and deletes of one batch, together.
    pub group_keys: usize,
    /// One key.
    pub key_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { operation_bytes: 1 << 20, operation_keys: 1000, group_bytes: 8 << 20, group_keys: 8000, key_bytes: 1024 }
    }
}

/// Changes that become durable together or not at all. A key appears at most once in a batch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Names the batch in [`CommitError::Unknown`] and [`Shard::committed`]: random, used once.
    pub token: u128,
    /// Records to write.
    pub puts: Vec<(Keyspace, Bytes, Bytes)>,
    /// Records to remove; absent ones are no error.
    pub deletes: Vec<(Keyspace, Bytes)>,
    /// Whether this may use the space kept in reserve: it frees space, or is a step towards that.
    pub may_use_reserve: bool,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new(token: u128) -> Self {
        Self { token, ..Self::default() }
    }

    /// Adds a record to write.
    pub fn put(&mut self, keyspace: Keyspace, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.puts.push((keyspace, key.into(), value.into()));
    }

    /// Adds a record to remove.
    pub fn delete(&mut self, keyspace: Keyspace, key: impl Into<Bytes>) {
        self.deletes.push((keyspace, key.into()));
    }

    /// How many puts and deletes there are.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.puts.len() + self.deletes.len()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let puts: usize = self.puts.iter().map(|(_, key, value)| key.len() + value.len()).sum();
        let deletes: usize = self.deletes.iter().map(|(_, key)| key.len()).sum();
        puts + deletes
    }

    /// Whether the batch fits; every implementation asks this first.
    #[must_use]
    pub fn fits(&self, limits: &Limits) -> bool {
        let puts = self.puts.iter().map(|(_, key, value)| (key, value.len()));
        let mut all = puts.chain(self.deletes.iter().map(|(_, key)| (key, 0)));
        self.keys() <= limits.group_keys
            && self.bytes() <= limits.group_bytes
            && all
                .all(|(key, value)| !key.is_empty() && key.len() <= limits.key_bytes && value <= limits.operation_bytes)
    }
}

/// A range of keys to read in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Where.
    pub keyspace: Keyspace,
    /// The lower end.
    pub from: Bound<Bytes>,
    /// The upper end.
    pub to: Bound<Bytes>,
    /// From the upper end down.
    pub reverse: bool,
    /// At most so many records in a page.
    pub limit_keys: usize,
    /// The page ends when its keys and values reach so many bytes; the first record always fits.
    pub limit_bytes: usize,
}

impl Scan {
    /// All records whose key begins with `prefix`, upwards, in pages of at most 1,000 records and 1 MiB.
    #[must_use]
    pub fn prefix(keyspace: Keyspace, prefix: &[u8]) -> Self {
        let from = Bound::Included(Bytes::copy_from_slice(prefix));
        Self { keyspace, from, to: end_of_prefix(prefix), reverse: false, limit_keys: 1000, limit_bytes: 1 << 20 }
    }

    /// The scan that goes on after `last`, the last key of the page before.
    #[must_use]
    pub fn after(mut self, last: &Bytes) -> Self {
        let end = if self.reverse { &mut self.to } else { &mut self.from };
        *end = Bound::Excluded(last.clone());
        self
    }

    /// Whether no key can be in the range. Ordered maps panic when asked for such a range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
            | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        }
    }
}

/// The first key above every key that begins with `prefix`.
fn end_of_prefix(prefix: &[u8]) -> Bound<Bytes> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Bound::Excluded(Bytes::from(end));
        }
    }
    Bound::Unbounded
}

/// Some records of a scan, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and values.
    pub items: Vec<(Bytes, Bytes)>,
    /// Whether the range may hold more: go on with [`Scan::after`] the last key.
    pub more: bool,
}

impl Page {
    /// Takes records until a limit of `scan` is reached. Shared by the implementations.
    ///
    /// # Errors
    /// The first error among the records.
    pub(crate) fn take<E>(scan: &Scan, records: impl Iterator<Item = Result<(Bytes, Bytes), E>>) -> Result<Self, E> {
        let mut page = Self::default();
        let mut bytes = 0;
        for record in records {
            if page.items.len() >= scan.limit_keys.max(1) || (bytes >= scan.limit_bytes && !page.items.is_empty()) {
                page.more = true;
                break;
            }
            let (key, value) = record?;
            bytes += key.len() + value.len();
            page.items.push((key, value));
        }
        Ok(page)
    }
}

/// Room on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that changes may still use, the reserve not counted.
    pub free_bytes: u64,
    /// Only batches that may use the reserve are taken now.
    pub reserve_reached: bool,
    /// The reserve is used up too: not even batches that may use it are sure to be taken. Reads go on. Also said by an
    /// opening that found the disk so full that its epoch is not durable yet.
    pub reserve_used: bool,
}

/// Reads of one state of a shard, that later commits do not change.
pub trait Snapshot: Send + Sync {
    /// One record, if that needs no wait. May say `WouldBlock` for no visible reason.
    ///
    /// # Errors
    /// The engine's.
    fn get_now(&self, keyspace: Keyspace, key: &[u8]) -> Result<Now<Option<Bytes>>, StorageError>;

    /// One record.
    fn get<'a>(&'a self, keyspace: Keyspace, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, StorageError>>;

    /// Several records, answered in the order asked.
    fn multi_get<'a>(
        &'a self,
        keyspace: Keyspace,
        keys: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StorageError>>;

    /// A page of records, if that needs no wait. May say `WouldBlock` for no visible reason.
    ///
    /// # Errors
    /// The engine's.
    fn scan_now(&self, scan: &Scan) -> Result<Now<Page>, StorageError>;

    /// A page of records.
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, StorageError>>;
}

/// An ordered key-value map with one writer. As a [`Snapshot`] it reads what is newest and durable.
pub trait Shard: Snapshot {
    /// The newest durable state, held still. A snapshot keeps old records from being reclaimed: drop it soon.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// Makes a batch durable and visible, or does nothing.
    ///
    /// [`CommitError::NoSpace`] is no failure of the shard: the same changes may be committed again later.
    ///
    /// The batch takes its place in the order when this is **called**, not when the future is first polled, and goes
    /// its way even if the future is dropped. Batches in flight may share one sync. The sequences answered grow in the
    /// order of calls.
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Seq, CommitError>>;

    /// The sequence of the last durable batch.
    fn durable(&self) -> Seq;

    /// Turns `true` once and for all when this opening may change nothing more: the disk failed, the engine failed, a
    /// commit took too long, or another owner took over. Drop everything in memory and reopen.
    fn fenced(&self) -> watch::Receiver<bool>;

    /// What a batch may hold.
    fn limits(&self) -> Limits;

    /// Whether the batch with this token became durable. Certain for the last 4,096 batches; older ones read `false`.
    fn committed(&self, token: u128) -> BoxFuture<'_, Result<bool, StorageError>>;

    /// Room left on the disk, as of the last look (some seconds ago at most).
    fn space(&self) -> Space;

    /// Ends this opening in good order: takes no more batches, finishes those it has, and leaves nothing to replay.
    fn close(&self) -> BoxFuture<'_, Result<(), StorageError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 4: scans are pages; the end of a prefix is the next key that does not begin with it.
    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(end_of_prefix(b"ab"), Bound::Excluded(Bytes::from_static(b"ac")));
        assert_eq!(end_of_prefix(b"a\xff"), Bound::Excluded(Bytes::from_static(b"b")));
        assert_eq!(end_of_prefix(b"\xff\xff"), Bound::Unbounded);
        assert_eq!(end_of_prefix(b""), Bound::Unbounded);
    }

    /// Architecture section 4: limits are part of the trait.
    #[test]
    fn a_batch_fits_up_to_its_limits() {
        let limits = Limits { group_keys: 2, group_bytes: 10, operation_bytes: 6, ..Limits::default() };
        let mut batch = Batch::new(1);
        batch.put(Keyspace::Records, "k", "12345");
        assert!(batch.fits(&limits));
        batch.delete(Keyspace::Records, "abcd");
        assert!(batch.fits(&limits));
        batch.delete(Keyspace::Records, "e");
        assert!(!batch.fits(&limits));
        let mut large = Batch::new(2);
        large.put(Keyspace::Inline, "k", "1234567");
        assert!(!large.fits(&limits));
        let mut nameless = Batch::new(3);
        nameless.delete(Keyspace::Inline, "");
        assert!(!nameless.fits(&limits));
    }
}
