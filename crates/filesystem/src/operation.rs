//! What one operation changes, on its way to the committer.

use std::sync::Arc;

use bytes::Bytes;
use storage::SegmentId;
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    budget::Charge,
    keys,
    record::{Counters, EntryRecord, MapEntry, Orphan, Source, Usage},
    reply::{Hold, REPLY_BYTES_MAX},
    seal::RECORD_OVERHEAD,
};

/// One record or one run of inline bytes, to write or to remove.
pub(crate) enum Change {
    Put(Bytes, Vec<u8>),
    Delete(Bytes),
    PutInline(Bytes, Bytes),
    DeleteInline(Bytes),
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(key, value) => key.len() + value.len() + RECORD_OVERHEAD,
            Self::PutInline(key, value) => key.len() + value.len(),
            Self::Delete(key) | Self::DeleteInline(key) => key.len(),
        }
    }
}

/// The changes of one operation: durable together or not at all.
pub(crate) struct Operation {
    pub(crate) changes: Vec<Change>,
    pub(crate) usage: Usage,
    pub(crate) live: Vec<(SegmentId, i64)>,
    /// Extents whose plaintext is kept in memory until this is durable.
    pub(crate) settled: Vec<u64>,
    /// Counters that are reserved once this is durable.
    pub(crate) reserved: Option<Counters>,
    pub(crate) reply: Option<Arc<Hold>>,
    /// Unstable data that this keeps in memory counts until this is durable.
    pub(crate) charge: Option<Charge>,
    /// Its place in the bounded queue, given back when it is durable.
    _admission: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Operation {
    pub(crate) const fn new(admission: Option<OwnedSemaphorePermit>, reply: Option<Arc<Hold>>) -> Self {
        Self {
            changes: Vec::new(),
            usage: Usage { objects: 0, data: 0, inodes: 0 },
            live: Vec::new(),
            settled: Vec::new(),
            reserved: None,
            reply,
            charge: None,
            _admission: admission,
            bytes: 0,
        }
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.changes.push(change);
    }

    pub(crate) fn put(&mut self, key: Bytes, plaintext: Vec<u8>) {
        self.push(Change::Put(key, plaintext));
    }

    pub(crate) fn delete(&mut self, key: Bytes) {
        self.push(Change::Delete(key));
    }

    pub(crate) fn put_entry(&mut self, directory: u64, cookie: u64, record: &EntryRecord) {
        self.put(keys::entry(directory, cookie), record.encode());
    }

    pub(crate) fn put_orphan(&mut self, fileid: u64, orphan: &Orphan) {
        self.put(keys::orphan(fileid), orphan.encode());
    }

    pub(crate) fn count_live(&mut self, entry: &MapEntry, sign: i64) {
        if let Source::Segment(place) = entry.extent.source {
            let bytes = entry.live_bytes();
            match self.live.iter_mut().find(|(segment, _)| *segment == place.segment) {
                Some((_, live)) => *live += sign * bytes,
                None => self.live.push((place.segment, sign * bytes)),
            }
        }
    }

    /// Bytes in the batch, sealing included.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the stored reply that may come on top.
    pub(crate) const fn reply_bytes(&self) -> usize {
        if self.reply.is_some() { REPLY_BYTES_MAX } else { 0 }
    }

    /// Records in the batch, at most.
    pub(crate) fn keys(&self) -> usize {
        self.changes.len() + self.live.len() + 1
    }
}
