//! What goes into one batch: the operations of a group, merged.

use std::collections::HashMap;

use bytes::Bytes;
use storage::{Limits, SegmentId};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::SPARE_KEYS;
use crate::{
    operation::{Change, Operation},
    record::Usage,
    seal::RECORD_OVERHEAD,
};

/// What several operations together leave behind: the last change of each record counts.
#[derive(Default)]
pub(super) struct Group {
    pub(super) records: HashMap<Bytes, Option<Zeroizing<Vec<u8>>>>,
    pub(super) inline: HashMap<Bytes, Option<Bytes>>,
    pub(super) usage: Usage,
    pub(super) live: HashMap<SegmentId, i64>,
    pub(super) done: Vec<Operation>,
    pub(super) told: Vec<oneshot::Sender<()>>,
    bytes: usize,
    keys: usize,
    /// What its operations count for in the queue.
    pub(super) queued: usize,
    /// The place of the last operation of the queue; 0 if there is none.
    pub(super) last: u64,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// Counts an operation in, if it fits. The first always does.
    pub(super) fn reserve(&mut self, operation: &Operation, limits: &Limits) -> bool {
        // Limits are on what the batch holds; counting a record twice only makes it a little smaller.
        let live = operation.live.len() + SPARE_KEYS;
        let bytes = self.bytes + operation.bytes() + live * (RECORD_OVERHEAD + 64) + operation.reply_bytes();
        let keys = self.keys + operation.keys();
        let fits = self.keys == 0 || (bytes <= limits.group_bytes && keys + SPARE_KEYS <= limits.group_keys);
        if fits {
            (self.bytes, self.keys) = (bytes, keys);
        }
        fits
    }

    pub(super) fn add(&mut self, mut operation: Operation, position: u64) {
        self.queued += operation.bytes();
        if let Some((key, value)) = operation.reply.take().and_then(|hold| hold.take()) {
            operation.put(key, value);
        }
        self.last = position;
        self.usage.add(operation.usage);
        for (segment, bytes) in &operation.live {
            *self.live.entry(*segment).or_default() += bytes;
        }
        for change in operation.changes.drain(..) {
            match change {
                Change::Put(key, value) => drop(self.records.insert(key, Some(Zeroizing::new(value)))),
                Change::Delete(key) => drop(self.records.insert(key, None)),
                Change::PutInline(key, value) => drop(self.inline.insert(key, Some(value))),
                Change::DeleteInline(key) => drop(self.inline.insert(key, None)),
            }
        }
        self.done.push(operation);
    }

    /// What this keeps in memory counts no more: it may take for ever, and other file systems need the room.
    pub(super) fn release_charges(&mut self) {
        for operation in &mut self.done {
            operation.charge = None;
        }
    }
}
