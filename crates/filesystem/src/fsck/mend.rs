//! Makes repairs: each one batch, written down before and told after. A batch that is durable needs no other one to make
//! sense, so that after a power failure between any two the next check goes on with what is left.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage::{Batch, CommitError, Keyspace, SegmentId};

use crate::{
    FsError, Result,
    codec::malformed,
    core::Core,
    fsck::{Observer, Phase, Progress, Repair},
    keys,
    lease::Which,
    record::{Counters, InodeRecord, MapEntry, Orphan, Source, Usage},
};

/// What one repair changes.
#[derive(Default)]
struct Changes {
    puts: Vec<(Bytes, Vec<u8>)>,
    deletes: Vec<Bytes>,
    inline_deletes: Vec<Bytes>,
}

impl Changes {
    fn put(key: impl Into<Bytes>, record: Vec<u8>) -> Self {
        Self { puts: vec![(key.into(), record)], ..Self::default() }
    }

    fn delete(key: Bytes) -> Self {
        Self { deletes: vec![key], ..Self::default() }
    }
}

impl Core {
    /// Makes the repairs one after the other. How many were made.
    pub(super) async fn mend_all(&self, repairs: &[Repair], observer: &dyn Observer) -> Result<u64> {
        let mut progress =
            Progress { phase: Phase::Repairs, done: 0, done_of: repairs.len() as u64, bytes: 0, bytes_of: 0 };
        for repair in repairs {
            self.renew_if_due(Which::Metadata).await?;
            let begun = observer.begin(repair).await;
            let begun = begun.map_err(|why| FsError::Io(format!("a repair could not be written down: {why}")))?;
            let outcome = self.mend(repair).await;
            begun.done(outcome.as_ref().copied());
            outcome?;
            progress.done += 1;
            observer.progress(&progress);
        }
        Ok(progress.done)
    }

    async fn mend(&self, repair: &Repair) -> Result<()> {
        let changes = match repair {
            Repair::LiveBytes { segment, counted: 0, .. } => Changes::delete(keys::live(SegmentId(*segment))),
            Repair::LiveBytes { segment, counted, .. } => {
                Changes::put(keys::live(SegmentId(*segment)), counted.to_be_bytes().to_vec())
            }
            Repair::Totals { objects, data } => {
                let usage = Usage { objects: *objects, data: *data, ..self.totals().await? };
                Changes::put(Bytes::from_static(keys::USAGE), usage.encode())
            }
            Repair::Counts { fileid, entries, mapped, name_bytes } => {
                let counts = |record: &mut InodeRecord| {
                    (record.entries, record.mapped, record.name_bytes) = (*entries, *mapped, *name_bytes);
                };
                self.amend(*fileid, counts).await?
            }
            Repair::Links { fileid, links, .. } => self.amend(*fileid, |record| record.links = *links).await?,
            Repair::PutOrphan { fileid } => {
                let orphan = Orphan { unlinked: true, trims: Vec::new() };
                Changes::put(keys::orphan(*fileid), orphan.encode())
            }
            Repair::NamedOrphan { fileid } => self.named_orphan(*fileid).await?,
            Repair::ForgetOrphan { fileid } => Changes::delete(keys::orphan(*fileid)),
            Repair::FreeInline { fileid, extents } => {
                let inline_deletes = extents.iter().map(|extent| keys::inline(*fileid, *extent)).collect();
                Changes { inline_deletes, ..Changes::default() }
            }
            Repair::FreeMap { fileid, starts } => self.free_map(*fileid, starts).await?,
            Repair::FreeMarkers { directory, cookies } => {
                let deletes = cookies.iter().map(|cookie| keys::entry(*directory, *cookie)).collect();
                Changes { deletes, ..Changes::default() }
            }
            Repair::FreeSegment { segment, .. } => return self.free_segment(SegmentId(*segment)).await,
            Repair::Forget { key, .. } => Changes::delete(Bytes::copy_from_slice(key)),
        };
        self.commit_repair(changes).await
    }

    async fn totals(&self) -> Result<Usage> {
        let usage = self.look_up(&Bytes::from_static(keys::USAGE)).await?;
        Usage::decode(&usage.ok_or_else(malformed)?)
    }

    /// Changes an inode's record, and with it what the totals say of it. Clients see that it changed.
    async fn amend(&self, fileid: u64, change: impl FnOnce(&mut InodeRecord)) -> Result<Changes> {
        let counters = self.look_up(&Bytes::from_static(keys::COUNTERS)).await?;
        let mut counters = Counters::decode(&counters.ok_or_else(malformed)?)?;
        let before = self.look_up(&keys::inode(fileid)).await?.ok_or_else(malformed)?;
        let mut record = InodeRecord::decode(&before)?;
        let space = record.space_used();
        change(&mut record);
        // What is reserved was perhaps shown already; the next value was not, and is taken by being reserved.
        record.change = counters.change;
        counters.change += 1;
        record.ctime = self.env.wall();
        let after = record.encode(record.size, record.change);
        let names = self.keys.names()?;
        let mut usage = self.totals().await?;
        usage.inodes = usage.inodes.wrapping_sub(names.inode_hash(&before)).wrapping_add(names.inode_hash(&after));
        usage.data = usage.data.saturating_sub_unsigned(space).saturating_add_unsigned(record.space_used());
        let puts = vec![
            (keys::inode(fileid), after),
            (Bytes::from_static(keys::USAGE), usage.encode()),
            (Bytes::from_static(keys::COUNTERS), counters.encode()),
        ];
        Ok(Changes { puts, ..Changes::default() })
    }

    /// The orphan record without the word that the object has no name.
    async fn named_orphan(&self, fileid: u64) -> Result<Changes> {
        let key = keys::orphan(fileid);
        let Some(orphan) = self.look_up(&key).await? else { return Ok(Changes::default()) };
        let orphan = Orphan { unlinked: false, ..Orphan::decode(&orphan)? };
        if orphan.trims.is_empty() { Ok(Changes::delete(key)) } else { Ok(Changes::put(key, orphan.encode())) }
    }

    /// Map entries of an object that does not exist, with what they keep alive.
    async fn free_map(&self, fileid: u64, starts: &[u64]) -> Result<Changes> {
        let mut changes = Changes::default();
        let mut dead: BTreeMap<u64, i64> = BTreeMap::new();
        for start in starts {
            let key = keys::map(fileid, *start);
            let Some(entry) = self.look_up(&key).await? else { continue };
            let entry = MapEntry::decode(*start, &entry)?;
            changes.deletes.push(key);
            match entry.extent.source {
                Source::Inline => changes.inline_deletes.push(keys::inline(fileid, entry.extent.id)),
                Source::Segment(place) => *dead.entry(place.segment.0).or_default() += entry.live_bytes(),
            }
        }
        // Entries that are parts of one extent name it more than once.
        changes.inline_deletes.sort_unstable();
        changes.inline_deletes.dedup();
        for (segment, bytes) in dead {
            let key = keys::live(SegmentId(segment));
            let live = self.look_up(&key).await?;
            // One that does not open or is missing is set right by a repair of its own.
            if let Some(live) = live.and_then(|live| <[u8; 8]>::try_from(&live[..]).ok()) {
                let left = i64::from_be_bytes(live).saturating_sub(bytes);
                changes.puts.push((key, left.to_be_bytes().to_vec()));
            }
        }
        Ok(changes)
    }

    /// Its live bytes go first: what is left of a repair that was interrupted is a segment that nothing names, again.
    async fn free_segment(&self, segment: SegmentId) -> Result<()> {
        let key = keys::live(segment);
        if self.get_raw(Keyspace::Records, &key).await?.is_some() {
            self.commit_repair(Changes::delete(key)).await?;
        }
        Ok(self.segments.delete(segment).await?)
    }

    async fn commit_repair(&self, changes: Changes) -> Result<()> {
        let mut batch = Batch::new(u128::from_be_bytes(self.env.random()));
        // It frees space, or takes as little as what it replaces.
        batch.may_use_reserve = true;
        self.keys.with(Which::Metadata, |key, _| {
            let mut sealer = self.binding.batch(key, self.env.random());
            for (name, record) in &changes.puts {
                batch.put(Keyspace::Records, name.clone(), sealer.seal(name, record));
            }
        })?;
        for name in changes.deletes {
            batch.delete(Keyspace::Records, name);
        }
        for name in changes.inline_deletes {
            batch.delete(Keyspace::Inline, name);
        }
        if batch.keys() == 0 {
            return Ok(());
        }
        match self.shard.commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::NoSpace) => Err(FsError::NoSpace),
            Err(error) => Err(FsError::Io(format!("a repair was not committed: {error}; check again"))),
        }
    }
}
