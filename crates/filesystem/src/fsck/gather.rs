//! Opens every record once, in the order of keys, and sums up what they say.

use bytes::Bytes;
use storage::{Keyspace, Scan};

use crate::{
    FsError, Kind, Result,
    codec::malformed,
    core::Core,
    fsck::{Gathered, Problem, Report, Sums},
    keys,
    lease::Which,
    names::{Names, next_cookie},
    record::{Counters, EntryRecord, InodeRecord, MapEntry, Orphan, Source, Usage},
    seal::Hex,
};

/// The prefixes whose records are opened without being compared with others.
const OTHERS: [&[u8]; 2] = [&[keys::REPLY], &[keys::PROTOCOL]];

impl Core {
    pub(super) async fn gather(&self, report: &mut Report, open_data: bool) -> Result<Gathered> {
        let names = self.keys.names()?;
        let mut all = Gathered::default();
        self.each(report, &[keys::ORPHAN], |key, record| {
            all.objects.entry(keys::number(key)?).or_default().orphan = Some(Orphan::decode(record)?);
            Ok(())
        })
        .await?;
        self.each(report, &[keys::INODE], |key, record| {
            all.inodes = all.inodes.wrapping_add(names.inode_hash(record));
            let (fileid, record) = (keys::number(key)?, InodeRecord::decode(record)?);
            if record.fileid != fileid {
                return Err(FsError::Io("the record of another object".into()));
            }
            all.highest_change = all.highest_change.max(record.change);
            all.objects.entry(fileid).or_default().record = Some(Box::new(record));
            Ok(())
        })
        .await?;
        self.gather_entries(&names, &mut all, report).await?;
        self.gather_maps(&names, &mut all, report, open_data).await?;
        self.each(report, &[keys::LIVE], |key, record| {
            let bytes = <[u8; 8]>::try_from(record).map_err(|_| malformed())?;
            all.live_records.insert(keys::number(key)?, i64::from_be_bytes(bytes));
            Ok(())
        })
        .await?;
        self.each(report, keys::USAGE, |_, record| {
            all.usage = Some(Usage::decode(record)?);
            Ok(())
        })
        .await?;
        self.each(report, keys::COUNTERS, |_, record| {
            all.counters = Some(Counters::decode(record)?);
            Ok(())
        })
        .await?;
        for prefix in OTHERS {
            self.each(report, prefix, |_, _| Ok(())).await?;
        }
        Ok(all)
    }

    /// Opens all records under a prefix; what does not open or decode becomes a problem.
    async fn each(
        &self,
        report: &mut Report,
        prefix: &[u8],
        mut take: impl FnMut(&Bytes, &[u8]) -> Result<()> + Send,
    ) -> Result<()> {
        let mut scan = Scan::prefix(Keyspace::Records, prefix);
        loop {
            let page = self.shard.scan(scan.clone()).await?;
            self.renew_if_due(Which::Metadata).await?;
            for (key, value) in &page.items {
                report.records += 1;
                let taken = self.open_record(key, value).and_then(|record| take(key, &record));
                if let Err(error) = taken {
                    report.problem(Problem::Unreadable { key: Hex(key).to_string(), why: error.to_string() });
                }
            }
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => return Ok(()),
            }
        }
    }

    async fn gather_entries(&self, names: &Names, all: &mut Gathered, report: &mut Report) -> Result<()> {
        // Cookies that an entry's search goes past, and must find taken.
        let mut passed: Vec<(u64, u64)> = Vec::new();
        let mut entries = 0;
        self.each(report, &[keys::ENTRY], |key, record| {
            let (directory, cookie) = keys::numbers(key)?;
            let record = EntryRecord::decode(record)?;
            let EntryRecord::Entry { name, fileid, kind, .. } = record else {
                all.objects.entry(directory).or_default().sums.mapped += 1;
                return Ok(());
            };
            entries += 1;
            let mut at = names.cookie(&name);
            while at != cookie && passed.len() < 1 << 20 {
                passed.push((directory, at));
                at = next_cookie(at);
            }
            let sums = &mut all.objects.entry(directory).or_default().sums;
            sums.entries += 1;
            sums.name_bytes += name.len() as u64;
            sums.hash = sums.hash.wrapping_add(names.entry_hash(directory, cookie, &name, fileid, kind));
            sums.subdirectories += u64::from(kind == Kind::Directory);
            let child = all.objects.entry(fileid).or_default();
            child.links += 1;
            child.parent = directory;
            match &child.record {
                Some(record) if record.kind != kind => Err(FsError::Io("an entry of another type".into())),
                _ => Ok(()),
            }
        })
        .await?;
        report.entries += entries;
        for (directory, cookie) in passed {
            if self.get_raw(Keyspace::Records, &keys::entry(directory, cookie)).await?.is_none() {
                let what = format!("a name is behind the free cookie {cookie} and is not found");
                report.problem(Problem::Mismatch { fileid: directory, what });
            }
        }
        Ok(())
    }

    async fn gather_maps(&self, names: &Names, all: &mut Gathered, report: &mut Report, open_data: bool) -> Result<()> {
        let mut last: Option<(u64, u64)> = None;
        let mut overlaps = Vec::new();
        let mut extents = Vec::new();
        let mut scan_count = 0;
        self.each(report, &[keys::MAP], |key, record| {
            let (fileid, start) = keys::numbers(key)?;
            let entry = MapEntry::decode(start, record)?;
            scan_count += 1;
            if last.is_some_and(|(file, end)| file == fileid && end > start) {
                overlaps.push((fileid, start));
            }
            last = Some((fileid, entry.end()));
            all.map_entry(names, fileid, &entry);
            if open_data {
                extents.push((fileid, entry));
            }
            Ok(())
        })
        .await?;
        report.extents += scan_count;
        for (fileid, start) in overlaps {
            report.problem(Problem::Mismatch { fileid, what: format!("extents overlap at {start}") });
        }
        for (fileid, entry) in extents {
            self.open_extent(fileid, &entry, report).await?;
        }
        Ok(())
    }
}

impl Gathered {
    fn map_entry(&mut self, names: &Names, fileid: u64, entry: &MapEntry) {
        self.highest_extent = self.highest_extent.max(entry.extent.id);
        match &entry.extent.source {
            Source::Inline => {
                self.inline.insert((fileid, entry.extent.id));
            }
            Source::Segment(place) => {
                *self.live.entry(place.segment.0).or_default() += entry.live_bytes();
                let reach = self.reach.entry(place.segment.0).or_default();
                *reach = (*reach).max(place.offset.saturating_add(u64::from(place.length)));
            }
        }
        let object = self.objects.entry(fileid).or_default();
        let dead = object
            .orphan
            .as_ref()
            .is_some_and(|orphan| orphan.trims.iter().any(|trim| trim.kills(entry.start, entry.extent.id)));
        let sums: &mut Sums = &mut object.sums;
        sums.entries += 1;
        sums.mapped += entry.blocks_bytes();
        sums.hash = sums.hash.wrapping_add(names.map_hash(fileid, entry));
        if !dead {
            sums.end = sums.end.max(entry.end());
        }
    }
}
