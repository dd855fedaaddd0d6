//! The second pass: directory entries in their order, against the directories that hold them and the objects that they
//! lead to; and then what only all entries together tell: links, parents, and the way to the root.

use bytes::Bytes;

use crate::{
    Kind, Result,
    fsck::{
        Phase, Problem, Repair,
        cursor::Cursor,
        problem::shown,
        table::{AWAITS_ENTRIES, ORPHAN_UNREADABLE, Row, UNLINKED, UNREADABLE},
        walk::Walk,
    },
    keys,
    names::next_cookie,
    open::ROOT,
    record::{EntryRecord, InodeRecord},
};

/// Markers that one repair frees: they fit one batch.
const FREED_AT_ONCE: usize = 500;

/// Searches that go around the end of all cookies; with 63 bits there is not even one.
const AROUND_MAX: usize = 1000;

/// What the entries of one directory say altogether.
#[derive(Default)]
struct EntrySums {
    entries: u64,
    markers: u64,
    name_bytes: u64,
    hash: u128,
    subdirectories: u64,
    /// An entry did not open.
    damaged: bool,
    /// Where the run of taken cookies begins that the last one is in, and the last one.
    run: Option<(u64, u64)>,
    /// Cookies of markers, of a directory that is not there.
    stray_markers: Vec<u64>,
}

impl EntrySums {
    /// One more cookie is taken.
    fn take(&mut self, cookie: u64) {
        self.run = match self.run {
            Some((first, last)) if last.checked_add(1) == Some(cookie) => Some((first, cookie)),
            _ => Some((cookie, cookie)),
        };
    }
}

impl Walk<'_> {
    pub(super) async fn entries(&mut self) -> Result<()> {
        self.begin(Phase::Names, self.entries_expected, 0);
        let mut cursor = Cursor::records(self.core, keys::ENTRY, 2);
        while let Some(directory) = cursor.at().await? {
            let holder = self.table.find(directory);
            let mut sums = EntrySums::default();
            while let Some(record) = cursor.next_of(directory).await? {
                self.entry((directory, holder), &record, &mut sums).await?;
                if self.report.entries.is_multiple_of(256) {
                    (self.progress.done, self.progress.bytes) = (self.report.entries, cursor.bytes);
                    self.tell();
                }
            }
            self.compare_directory((directory, holder), sums).await?;
        }
        self.sound.entries &= !self.misshapen(&cursor);
        for index in 0..self.table.len() {
            if let Some(row) = self.table.row(index)
                && row.is(AWAITS_ENTRIES)
            {
                self.compare_directory((row.fileid, Some(index)), EntrySums::default()).await?;
            }
        }
        for index in 0..self.table.len() {
            self.compare_links(index);
        }
        for fileid in self.table.adrift(ROOT) {
            self.sound.reachable = false;
            self.problem(Problem::Mismatch { fileid, what: "the directory is not below the root".into() });
        }
        Ok(())
    }

    async fn entry(
        &mut self,
        (directory, holder): (u64, Option<usize>),
        record: &(Bytes, Bytes),
        sums: &mut EntrySums,
    ) -> Result<()> {
        let (_, cookie) = keys::numbers(&record.0)?;
        let entry = self.open(("an entry", Some(directory)), record, EntryRecord::decode);
        sums.take(cookie);
        let (name, fileid, kind) = match entry {
            Some(EntryRecord::Entry { name, fileid, kind, .. }) => (name, fileid, kind),
            Some(EntryRecord::Marker) => {
                sums.markers += 1;
                if holder.is_none() {
                    sums.stray_markers.push(cookie);
                }
                return Ok(());
            }
            None => {
                sums.damaged = true;
                self.sound.entries = false;
                return Ok(());
            }
        };
        self.report.entries += 1;
        self.search((directory, &name), cookie, sums.run).await?;
        sums.entries += 1;
        sums.name_bytes += name.len() as u64;
        sums.hash = sums.hash.wrapping_add(self.names.entry_hash(directory, cookie, &name, fileid, kind));
        sums.subdirectories += u64::from(kind == Kind::Directory);
        let Some(child) = self.table.find(fileid) else {
            self.sound.reachable = false;
            self.problem(Problem::Dangling { directory, name: shown(&name), fileid });
            return Ok(());
        };
        self.table.name(child, holder);
        if self.table.row(child).and_then(Row::kind).is_some_and(|found| found != kind) {
            self.sound.entries = false;
            let what = format!("the entry {} leads to object {fileid}, which is of another type", shown(&name));
            self.problem(Problem::Mismatch { fileid: directory, what });
        }
        Ok(())
    }

    /// Whoever looks for the name goes from its own cookie to where it is, and must find every one in between taken.
    async fn search(&mut self, (directory, name): (u64, &[u8]), cookie: u64, run: Option<(u64, u64)>) -> Result<()> {
        let begin = self.names.cookie(name);
        let free = match run {
            Some((first, _)) if begin <= cookie => (begin < first).then_some(begin),
            _ => {
                let mut at = begin;
                let mut left = AROUND_MAX;
                while at != cookie && left > 0 && self.core.look_up(&keys::entry(directory, at)).await?.is_some() {
                    at = next_cookie(at);
                    left -= 1;
                }
                (at != cookie).then_some(at)
            }
        };
        if let Some(free) = free {
            let what = format!("the entry {} is behind the free cookie {free} and is not found", shown(name));
            self.problem(Problem::Mismatch { fileid: directory, what });
        }
        Ok(())
    }

    async fn compare_directory(
        &mut self,
        (directory, holder): (u64, Option<usize>),
        mut sums: EntrySums,
    ) -> Result<()> {
        let Some(index) = holder else {
            self.absent_directory(directory, &mut sums);
            return Ok(());
        };
        let Some(row) = self.table.row_mut(index) else { return Ok(()) };
        row.flags &= !AWAITS_ENTRIES;
        if row.is(UNREADABLE) {
            return Ok(());
        }
        let Some(record) = self.core.look_up(&keys::inode(directory)).await? else { return Ok(()) };
        let record = InodeRecord::decode(&record)?;
        if record.kind != Kind::Directory {
            self.sound.entries = false;
            self.problem(Problem::Mismatch { fileid: directory, what: "entries, but it is no directory".into() });
            return Ok(());
        }
        let fits = record.set_hash == sums.hash && !sums.damaged;
        if record.set_hash != sums.hash {
            self.sound.entries = false;
            let what = "the set-hash of its entries does not fit: one was put back, or removed, or is unreadable";
            self.problem(Problem::Mismatch { fileid: directory, what: what.into() });
        }
        let recorded = (record.entries, record.mapped, record.name_bytes);
        let counted = (sums.entries, sums.markers, sums.name_bytes);
        if recorded != counted {
            let what = format!(
                "{} entries, {} markers and {} bytes of names recorded, {}, {} and {} counted",
                recorded.0, recorded.1, recorded.2, counted.0, counted.1, counted.2
            );
            let problem = Problem::Mismatch { fileid: directory, what };
            let (entries, mapped, name_bytes) = counted;
            if fits {
                self.repairable(problem, Repair::Counts { fileid: directory, entries, mapped, name_bytes });
            } else {
                self.problem(problem);
            }
        }
        let links = u32::try_from(sums.subdirectories.saturating_add(2)).unwrap_or(u32::MAX);
        if record.links != links {
            self.wrong_links(directory, record.links, links);
        }
        Ok(())
    }

    fn wrong_links(&mut self, fileid: u64, recorded: u32, links: u32) {
        let what = format!("{recorded} links recorded, {links} counted");
        self.repairable(Problem::Mismatch { fileid, what }, Repair::Links { fileid, recorded, links });
    }

    /// Entries of a directory that is not there lead to objects that may be somewhere else as well: they are told.
    /// Markers lead nowhere.
    fn absent_directory(&mut self, directory: u64, sums: &mut EntrySums) {
        if sums.entries > 0 || sums.damaged {
            self.sound.entries = false;
            let what = format!("{} entries, but no directory", sums.entries);
            self.problem(Problem::Mismatch { fileid: directory, what });
        }
        for cookies in sums.stray_markers.chunks(FREED_AT_ONCE) {
            let problem = Problem::Leaked { fileid: directory, what: format!("{} markers", cookies.len()) };
            self.repairable(problem, Repair::FreeMarkers { directory, cookies: cookies.to_vec() });
        }
    }

    fn compare_links(&mut self, index: usize) {
        let Some(row) = self.table.row(index) else { return };
        let (fileid, names, links) = (row.fileid, row.names, row.links);
        let (unlinked, unknown) = (row.is(UNLINKED), row.is(ORPHAN_UNREADABLE));
        let parent = row.parent;
        let Some(kind) = row.kind() else { return };
        if kind == Kind::Directory {
            let holder = self.table.holder(index).and_then(|holder| self.table.row(holder)).map(|holder| holder.fileid);
            self.compare_parent((fileid, parent), names, holder);
            return;
        }
        match (links, names) {
            // Its last name is gone, and its record and the orphan record both say so.
            (0, 0) if unlinked => self.report.orphans += 1,
            (0, 0) if unknown => {}
            (0, 0) => {
                let what = "unlinked, and there is no orphan record by which the server would remove it".to_owned();
                self.repairable(Problem::Mismatch { fileid, what }, Repair::PutOrphan { fileid });
            }
            // Whoever removed the last name said so in the orphan record.
            (_, 0) if unlinked => self.wrong_links(fileid, links, 0),
            (_, 0) => self.problem(Problem::Nameless { fileid, kind }),
            (_, _) => {
                if links != names {
                    self.wrong_links(fileid, links, names);
                }
                if unlinked {
                    let what = format!("{names} names lead to it, and an orphan record says that none does");
                    self.repairable(Problem::Mismatch { fileid, what }, Repair::NamedOrphan { fileid });
                }
            }
        }
    }

    fn compare_parent(&mut self, (fileid, parent): (u64, u64), names: u32, holder: Option<u64>) {
        let what = match (fileid, names) {
            (ROOT, 0) => return,
            (ROOT, _) => "an entry leads to the root directory".to_owned(),
            (_, 0) => return self.problem(Problem::Nameless { fileid, kind: Kind::Directory }),
            (_, 1) if holder == Some(parent) => return,
            (_, 1) => format!(
                "its parent is recorded as {parent}, but it is in {}",
                holder.map_or_else(|| "none".to_owned(), |holder| holder.to_string())
            ),
            (_, names) => format!("{names} names lead to this directory"),
        };
        self.problem(Problem::Mismatch { fileid, what });
    }
}
