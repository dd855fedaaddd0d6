//! Segments and their live bytes against what maps name of them.

use std::collections::{BTreeMap, BTreeSet};

use storage::{Keyspace, Scan};

use crate::{
    Result,
    codec::malformed,
    fsck::{Phase, Problem, Repair, walk::Walk},
    keys,
    seal::Hex,
};

impl Walk<'_> {
    pub(super) async fn storage_use(&mut self) -> Result<()> {
        self.begin(Phase::Storage, 0, 0);
        let mut recorded: BTreeMap<u64, i64> = BTreeMap::new();
        let mut unreadable = BTreeSet::new();
        let scan = Scan::prefix(Keyspace::Records, &[keys::LIVE]);
        self.each(scan, |walk, (key, value)| {
            let Ok(segment) = keys::number(&key) else { return walk.unknown(&key) };
            walk.report.records += 1;
            let opened = walk.core.open_record(&key, &value);
            let opened = opened.and_then(|record| <[u8; 8]>::try_from(&record[..]).map_err(|_| malformed()));
            match opened {
                Ok(bytes) => drop(recorded.insert(segment, i64::from_be_bytes(bytes))),
                Err(error) => {
                    unreadable.insert(segment);
                    let counted = walk.segments.get(&segment).map_or(0, |sums| sums.live);
                    let (key, why) = (Hex(&key).to_string(), error.to_string());
                    let problem = Problem::Unreadable { key, class: "live bytes of a segment", fileid: None, why };
                    walk.repairable(problem, Repair::LiveBytes { segment, recorded: None, counted });
                }
            }
        })
        .await?;
        let listed = self.core.segments.list(u32::MAX).await?;
        let sizes: BTreeMap<u64, u64> = listed.into_iter().map(|(segment, bytes)| (segment.0, bytes)).collect();
        let sums = std::mem::take(&mut self.segments);
        for (segment, sums) in &sums {
            let (segment, needed, bytes) = (*segment, sums.reach, sizes.get(segment).copied());
            if bytes.is_none_or(|bytes| bytes < needed) {
                self.problem(Problem::Segment { segment, bytes, needed });
            }
        }
        let known: BTreeSet<u64> = sums.keys().chain(recorded.keys()).copied().collect();
        for segment in known.difference(&unreadable).copied() {
            let counted = sums.get(&segment).map_or(0, |sums| sums.live);
            let recorded = recorded.get(&segment).copied().unwrap_or(0);
            if counted != recorded {
                let repair = Repair::LiveBytes { segment, recorded: Some(recorded), counted };
                self.repairable(Problem::LiveBytes { segment, recorded, counted }, repair);
            }
        }
        for (segment, bytes) in sizes {
            self.report.segments += 1;
            self.report.segment_bytes += bytes;
            if !sums.contains_key(&segment) {
                self.report.unused_segments += 1;
                self.report.unused_segment_bytes += bytes;
                self.propose(Repair::FreeSegment { segment, bytes });
            }
        }
        Ok(())
    }
}
