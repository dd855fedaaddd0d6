//! The first pass: each object's inode, its orphan record, its map and its inline data, which all lie in the order of
//! fileids, are looked at side by side, so that nothing of an object is kept but its row.

use bytes::Bytes;

use crate::{
    FsError, Kind, Result,
    core::Core,
    fsck::{
        Phase, Problem, Repair,
        cursor::Cursor,
        table::{AWAITS_ENTRIES, ORPHAN_UNREADABLE, Row, UNLINKED},
        walk::Walk,
    },
    keys,
    open::ROOT,
    record::{InodeRecord, MapEntry, Orphan, Source, Usage},
    seal::sealed_bytes,
};

/// Extents or map entries that one repair frees: they fit one batch.
const FREED_AT_ONCE: usize = 500;

/// Everything that is ordered by fileid.
struct Cursors<'a> {
    inodes: Cursor<'a>,
    orphans: Cursor<'a>,
    maps: Cursor<'a>,
    inline: Cursor<'a>,
}

impl<'a> Cursors<'a> {
    fn new(core: &'a Core) -> Self {
        Self {
            inodes: Cursor::records(core, keys::INODE, 1),
            orphans: Cursor::records(core, keys::ORPHAN, 1),
            maps: Cursor::records(core, keys::MAP, 2),
            inline: Cursor::inline(core),
        }
    }

    /// The next object that any of them knows of.
    async fn next(&mut self) -> Result<Option<u64>> {
        let next = [self.inodes.at().await?, self.orphans.at().await?, self.maps.at().await?, self.inline.at().await?];
        Ok(next.into_iter().flatten().min())
    }

    fn bytes(&self) -> u64 {
        self.inodes.bytes + self.orphans.bytes + self.maps.bytes + self.inline.bytes
    }
}

/// What an object's record is.
enum Inode {
    Absent,
    Unreadable,
    Found(Box<InodeRecord>),
}

/// What an object's orphan record is.
enum OrphanFound {
    Absent,
    Unreadable,
    Found(Orphan),
}

impl OrphanFound {
    fn kills(&self, entry: &MapEntry) -> bool {
        matches!(self, Self::Found(orphan) if orphan.trims.iter().any(|trim| trim.kills(entry.start, entry.extent.id)))
    }
}

/// What an object's map says altogether.
#[derive(Default)]
struct MapSums {
    entries: u64,
    mapped: u64,
    hash: u128,
    /// Where the last extent ends that counts.
    end: u64,
    /// Where every entry begins, of an object that is not there.
    starts: Vec<u64>,
    /// Inline extents that are named, and their sealed bytes.
    inline: Vec<(u64, u32)>,
    /// An entry did not open.
    damaged: bool,
}

impl Walk<'_> {
    pub(super) async fn objects(&mut self) -> Result<()> {
        self.report.records += 1;
        let usage = self.core.look_up(&Bytes::from_static(keys::USAGE)).await;
        let usage = usage.and_then(|usage| usage.map(|usage| Usage::decode(&usage)).transpose());
        let expected = usage.as_ref().ok().and_then(Option::as_ref).map_or(0, |usage| usage.objects);
        self.begin(Phase::Objects, u64::try_from(expected).unwrap_or(0), 0);
        let mut cursors = Cursors::new(self.core);
        while let Some(fileid) = cursors.next().await? {
            self.object(fileid, &mut cursors).await?;
            if self.table.len().is_multiple_of(256) {
                (self.progress.done, self.progress.bytes) = (self.report.objects, cursors.bytes());
                self.tell();
            }
        }
        self.sound.inodes &= !self.misshapen(&cursors.inodes);
        self.sound.orphans &= !self.misshapen(&cursors.orphans);
        self.sound.maps &= !self.misshapen(&cursors.maps);
        self.misshapen(&cursors.inline);
        if self.table.find(ROOT).is_none() {
            self.problem(Problem::Missing("the root directory".into()));
        }
        self.compare_totals(usage);
        Ok(())
    }

    fn compare_totals(&mut self, usage: Result<Option<Usage>>) {
        let counted = self.counted;
        match usage {
            Ok(Some(usage)) if usage.inodes != counted.inodes => {
                self.sound.inodes = false;
                let what = "the sum over all inode records does not fit: one was put back, or is missing or unreadable";
                self.problem(Problem::PutBack(what.into()));
            }
            Ok(Some(usage)) if usage != counted => {
                let what = format!(
                    "totals: {} objects and {} bytes recorded, {} objects and {} bytes counted",
                    usage.objects, usage.data, counted.objects, counted.data
                );
                let repair = Repair::Totals { objects: counted.objects, data: counted.data };
                self.repairable(Problem::Totals(what), repair);
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                self.sound.inodes = false;
                self.problem(Problem::Missing("the record of totals".into()));
            }
            Err(error) => {
                self.sound.inodes = false;
                let (key, why) = (crate::seal::Hex(keys::USAGE).to_string(), error.to_string());
                self.problem(Problem::Unreadable { key, class: "the record of totals", fileid: None, why });
            }
        }
    }

    async fn object(&mut self, fileid: u64, cursors: &mut Cursors<'_>) -> Result<()> {
        let inode = self.inode(fileid, cursors.inodes.next_of(fileid).await?);
        let orphan = match cursors.orphans.next_of(fileid).await? {
            None => OrphanFound::Absent,
            Some(record) => match self.open(("the orphan record", Some(fileid)), &record, Orphan::decode) {
                Some(orphan) => OrphanFound::Found(orphan),
                None => {
                    self.sound.orphans = false;
                    OrphanFound::Unreadable
                }
            },
        };
        let absent = matches!(inode, Inode::Absent);
        let mut sums = MapSums::default();
        let mut last_end = 0;
        while let Some(record) = cursors.maps.next_of(fileid).await? {
            self.map_entry((fileid, absent), &record, &orphan, (&mut sums, &mut last_end));
        }
        self.inline_extents(fileid, &mut cursors.inline, &mut sums).await?;
        match inode {
            Inode::Absent => self.absent_object(fileid, &orphan, sums),
            Inode::Unreadable => self.table.push(Row::unreadable(fileid)),
            Inode::Found(record) => self.compare_object(&record, &orphan, &sums),
        }
        Ok(())
    }

    fn inode(&mut self, fileid: u64, found: Option<(Bytes, Bytes)>) -> Inode {
        let Some(found) = found else { return Inode::Absent };
        let names = self.names.clone();
        let record = self.open(("the inode", Some(fileid)), &found, |bytes| {
            let record = InodeRecord::decode(bytes)?;
            if record.fileid != fileid {
                return Err(FsError::Io("the record of another object".into()));
            }
            Ok((names.inode_hash(bytes), record))
        });
        self.report.objects += 1;
        let Some((hash, record)) = record else {
            self.sound.inodes = false;
            return Inode::Unreadable;
        };
        self.counted.objects += 1;
        self.counted.inodes = self.counted.inodes.wrapping_add(hash);
        self.counted.data = self.counted.data.saturating_add_unsigned(record.space_used());
        self.used.fileid = self.used.fileid.max(fileid);
        self.used.generation = self.used.generation.max(record.generation);
        self.used.change = self.used.change.max(record.change);
        Inode::Found(Box::new(record))
    }

    fn map_entry(
        &mut self,
        (fileid, absent): (u64, bool),
        record: &(Bytes, Bytes),
        orphan: &OrphanFound,
        (sums, last_end): (&mut MapSums, &mut u64),
    ) {
        let start = keys::numbers(&record.0).map_or(0, |(_, start)| start);
        let Some(entry) = self.open(("the map", Some(fileid)), record, |bytes| MapEntry::decode(start, bytes)) else {
            sums.damaged = true;
            self.sound.maps = false;
            return;
        };
        self.report.extents += 1;
        self.data_expected = self.data_expected.saturating_add(u64::from(entry.length));
        self.used.extent = self.used.extent.max(entry.extent.id);
        if *last_end > start {
            self.problem(Problem::Mismatch { fileid, what: format!("extents overlap at {start}") });
        }
        *last_end = entry.end();
        sums.entries += 1;
        sums.mapped = sums.mapped.saturating_add(entry.blocks_bytes());
        sums.hash = sums.hash.wrapping_add(self.names.map_hash(fileid, &entry));
        if absent {
            sums.starts.push(start);
        }
        if !orphan.kills(&entry) {
            sums.end = sums.end.max(entry.end());
        }
        match entry.extent.source {
            Source::Inline => sums.inline.push((entry.extent.id, sealed_bytes(entry.extent.bytes))),
            Source::Segment(place) => {
                self.observer.placed(&place);
                let segment = self.segments.entry(place.segment.0).or_default();
                segment.live = segment.live.saturating_add(entry.live_bytes());
                segment.reach = segment.reach.max(place.offset.saturating_add(u64::from(place.length)));
            }
        }
    }

    /// Inline data of one object against its map.
    async fn inline_extents(&mut self, fileid: u64, cursor: &mut Cursor<'_>, sums: &mut MapSums) -> Result<()> {
        sums.inline.sort_unstable();
        sums.inline.dedup();
        let mut wanted = std::mem::take(&mut sums.inline).into_iter().peekable();
        let mut leaked = Vec::new();
        while let Some((key, value)) = cursor.next_of(fileid).await? {
            let extent = key.get(8..).and_then(|rest| rest.first_chunk()).map_or(0, |id| u64::from_be_bytes(*id));
            while let Some((missing, _)) = wanted.next_if(|(id, _)| *id < extent) {
                self.inline_missing(fileid, missing);
            }
            match wanted.next_if(|(id, _)| *id == extent) {
                Some((_, bytes)) if usize::try_from(bytes) == Ok(value.len()) => {}
                Some((_, bytes)) => {
                    let what = format!("inline extent {extent} has {} bytes, its map says {bytes}", value.len());
                    self.problem(Problem::Mismatch { fileid, what });
                }
                None => leaked.push(extent),
            }
        }
        for (missing, _) in wanted {
            self.inline_missing(fileid, missing);
        }
        for extents in leaked.chunks(FREED_AT_ONCE) {
            let what = format!("{} inline extents, {} the first", extents.len(), extents.first().unwrap_or(&0));
            let repair = Repair::FreeInline { fileid, extents: extents.to_vec() };
            self.repairable(Problem::Leaked { fileid, what }, repair);
        }
        Ok(())
    }

    fn inline_missing(&mut self, fileid: u64, extent: u64) {
        let what = format!("inline extent {extent}, which its map names, is missing");
        self.problem(Problem::Mismatch { fileid, what });
    }

    /// There is no such object. Then there must be nothing of it.
    fn absent_object(&mut self, fileid: u64, orphan: &OrphanFound, sums: MapSums) {
        for starts in sums.starts.chunks(FREED_AT_ONCE) {
            let problem = Problem::Leaked { fileid, what: format!("{} map entries", starts.len()) };
            self.repairable(problem, Repair::FreeMap { fileid, starts: starts.to_vec() });
        }
        match orphan {
            OrphanFound::Absent => {}
            OrphanFound::Found(_) | OrphanFound::Unreadable => {
                let what = "an orphan record, but no object".to_owned();
                self.repairable(Problem::Mismatch { fileid, what }, Repair::ForgetOrphan { fileid });
            }
        }
    }

    fn compare_object(&mut self, record: &InodeRecord, orphan: &OrphanFound, sums: &MapSums) {
        let fileid = record.fileid;
        let parent = if record.kind == Kind::Directory { record.parent } else { 0 };
        let mut row = Row::new(fileid, record.kind, record.links, parent);
        match orphan {
            OrphanFound::Absent => {}
            OrphanFound::Unreadable => row.flags |= ORPHAN_UNREADABLE,
            OrphanFound::Found(orphan) if orphan.unlinked => row.flags |= UNLINKED,
            OrphanFound::Found(orphan) if orphan.trims.is_empty() => {
                let what = "an orphan record that says nothing".to_owned();
                self.repairable(Problem::Mismatch { fileid, what }, Repair::NamedOrphan { fileid });
            }
            OrphanFound::Found(_) => {}
        }
        if record.kind == Kind::Directory {
            // What the record says of an empty directory is right if no entry turns up.
            let empty = (record.entries, record.mapped, record.name_bytes, record.set_hash, record.links);
            row.flags |= if empty == (0, 0, 0, 0, 2) { 0 } else { AWAITS_ENTRIES };
            self.entries_expected = self.entries_expected.saturating_add(record.entries);
        }
        self.table.push(row);
        let mut differ = |what: String| self.problem(Problem::Mismatch { fileid, what });
        if record.kind == Kind::Regular && sums.end > record.size {
            differ(format!("an extent ends at {}, beyond the size {}", sums.end, record.size));
        }
        if record.kind != Kind::Regular && sums.entries > 0 {
            differ("an object of this type has no extents".into());
        }
        if record.kind != Kind::Directory {
            self.compare_map(record, sums);
        }
    }

    fn compare_map(&mut self, record: &InodeRecord, sums: &MapSums) {
        let fileid = record.fileid;
        if record.set_hash != sums.hash {
            self.sound.maps = false;
            let what = "the set-hash of its map does not fit: an entry was put back, or removed, or is unreadable";
            self.problem(Problem::Mismatch { fileid, what: what.into() });
        }
        let recorded = (record.entries, record.mapped, record.name_bytes);
        let counted = (sums.entries, sums.mapped, 0);
        if recorded == counted {
            return;
        }
        let what = format!(
            "{} map entries and {} mapped bytes recorded, {} and {} counted",
            recorded.0, recorded.1, counted.0, counted.1
        );
        let problem = Problem::Mismatch { fileid, what };
        if record.set_hash == sums.hash && !sums.damaged {
            let (entries, mapped, name_bytes) = counted;
            self.repairable(problem, Repair::Counts { fileid, entries, mapped, name_bytes });
        } else {
            self.problem(problem);
        }
    }
}
