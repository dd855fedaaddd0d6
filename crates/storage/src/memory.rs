//! A shard and segments in memory, for tests and for trying things: durable as long as the [`Memory`] lives.
//!
//! [`Memory::open`] ends the opening before, as a second owner would, so a test crashes a server by dropping what it
//! holds and opening again.

mod segments;
mod shard;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{Keyspace, Opening, SegmentId, Seq};

/// What a disk would hold.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    epoch: u32,
    seq: Seq,
    maps: Maps,
    tokens: std::collections::VecDeque<u128>,
    segments: BTreeMap<SegmentId, bytes::BytesMut>,
    current: Option<tokio::sync::watch::Sender<bool>>,
}

/// One map for each keyspace. Snapshots share them until the next change.
#[derive(Clone, Default)]
struct Maps {
    records: Arc<BTreeMap<Bytes, Bytes>>,
    inline: Arc<BTreeMap<Bytes, Bytes>>,
}

impl Memory {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens what is there, under the next epoch. The opening before is fenced.
    #[must_use]
    pub fn open(&self) -> Opening {
        let fenced = tokio::sync::watch::Sender::new(false);
        let mut contents = self.0.lock();
        contents.epoch += 1;
        let epoch = contents.epoch;
        if let Some(before) = contents.current.replace(fenced.clone()) {
            before.send_replace(true);
        }
        drop(contents);
        let shard = shard::MemoryShard::new(self.0.clone(), fenced, epoch);
        let segments = segments::MemorySegments::new(self.0.clone(), epoch);
        (Arc::new(shard), Arc::new(segments))
    }

    /// The segments there are, with their sizes.
    #[must_use]
    pub fn segments(&self) -> Vec<(SegmentId, u64)> {
        self.0.lock().segments.iter().map(|(segment, bytes)| (*segment, bytes.len() as u64)).collect()
    }

    /// How many keys the keyspace holds.
    #[must_use]
    pub fn keys(&self, keyspace: Keyspace) -> usize {
        let contents = self.0.lock();
        match keyspace {
            Keyspace::Records => contents.maps.records.len(),
            Keyspace::Inline => contents.maps.inline.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    fn subject() -> (suite::Subject, ()) {
        let memory = Memory::new();
        let open = move || -> crate::BoxFuture<'static, Opening> { Box::pin(std::future::ready(memory.open())) };
        (Box::new(open), ())
    }

    suite::suite!(subject());
}
