//! Compares what records say about each other.

use std::collections::{BTreeMap, BTreeSet};

use storage::{Keyspace, Scan, SegmentId};

use crate::{
    Kind, Result,
    codec::Reader,
    core::Core,
    fsck::{Gathered, Object, Problem, Report, Sums},
    open::ROOT,
    record::{InodeRecord, Usage},
};

impl Core {
    pub(super) fn compare_objects(&self, all: &Gathered, report: &mut Report) {
        let mut counted = Usage { inodes: all.inodes, ..Usage::default() };
        for (fileid, object) in &all.objects {
            let Some(record) = &object.record else {
                absent(*fileid, object, report);
                continue;
            };
            report.objects += 1;
            counted.objects += 1;
            counted.data = counted.data.saturating_add_unsigned(record.space_used());
            compare_object(*fileid, object, record, report);
        }
        compare_tree(all, report);
        if !all.objects.contains_key(&ROOT) {
            report.problem(Problem::Missing("the root directory".into()));
        }
        match all.usage {
            Some(usage) if usage == counted => {}
            Some(usage) if usage.inodes != counted.inodes => {
                let what = "the set-hash of inodes does not fit: one was put back, or is missing or unreadable";
                report.problem(Problem::Totals(what.into()));
            }
            Some(usage) => report.problem(Problem::Totals(format!("{usage:?} recorded, {counted:?} counted"))),
            None => report.problem(Problem::Missing("the record of totals".into())),
        }
        let Some(counters) = all.counters else {
            report.problem(Problem::Missing("the record of counters".into()));
            return;
        };
        let highest = all.objects.last_key_value().map_or(0, |(fileid, _)| *fileid);
        let reached = [
            ("fileids", counters.fileid, highest),
            ("extent ids", counters.extent, all.highest_extent),
            ("change attributes", counters.change, all.highest_change),
        ];
        for (what, reserved, used) in reached {
            if used >= reserved {
                report.problem(Problem::Totals(format!("{what} reserved below {reserved}, but {used} is in use")));
            }
        }
    }

    /// Inline data and segments against the maps.
    pub(super) async fn compare_storage(&self, all: Gathered, report: &mut Report) -> Result<()> {
        let mut wanted = all.inline;
        let mut scan = Scan::prefix(Keyspace::Inline, &[]);
        loop {
            let page = self.shard.scan(scan.clone()).await?;
            for (key, _) in &page.items {
                let mut reader = Reader::new(key);
                let named = (reader.u64()?, reader.u64()?);
                if !wanted.remove(&named) {
                    report.problem(Problem::Leaked(format!("inline extent {} of object {}", named.1, named.0)));
                }
            }
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => break,
            }
        }
        for (fileid, extent) in wanted {
            let what = format!("inline extent {extent} is missing");
            report.problem(Problem::Mismatch { fileid, what });
        }
        let sizes: BTreeMap<u64, u64> =
            self.segments.list(u32::MAX).await?.into_iter().map(|(segment, bytes)| (segment.0, bytes)).collect();
        for (segment, reach) in &all.reach {
            let name = name_of(*segment);
            match sizes.get(segment) {
                None => report.problem(Problem::Missing(format!("segment {name}, which files need"))),
                Some(bytes) if bytes < reach => {
                    let what = format!("segment {name} has {bytes} bytes, files need {reach}");
                    report.problem(Problem::Missing(what));
                }
                Some(_) => {}
            }
        }
        let segments: BTreeSet<u64> = all.live.keys().chain(all.live_records.keys()).copied().collect();
        for segment in segments {
            let counted = all.live.get(&segment).copied().unwrap_or(0);
            let recorded = all.live_records.get(&segment).copied().unwrap_or(0);
            if counted != recorded {
                let name = name_of(segment);
                let what = format!("{recorded} live bytes recorded of segment {name}, {counted} counted");
                report.problem(Problem::Totals(what));
            }
        }
        Ok(())
    }
}

fn name_of(segment: u64) -> String {
    let id = SegmentId(segment);
    format!("{}-{}", id.epoch(), id.number())
}

/// There is no such object. Then there must be nothing of it.
fn absent(fileid: u64, object: &Object, report: &mut Report) {
    if object.links > 0 {
        report.problem(Problem::Dangling { directory: object.parent, fileid });
    }
    if object.sums != Sums::default() {
        report.problem(Problem::Leaked(format!("entries or extents of object {fileid}, which does not exist")));
    }
    if object.orphan.is_some() {
        report.problem(Problem::Leaked(format!("the orphan record of object {fileid}, which does not exist")));
    }
}

fn compare_object(fileid: u64, object: &Object, record: &InodeRecord, report: &mut Report) {
    let mut differ = |what: String| report.problem(Problem::Mismatch { fileid, what });
    let sums = &object.sums;
    let mut compare = |what: &str, recorded: u128, counted: u128| {
        if recorded != counted {
            differ(format!("{what}: {recorded} recorded, {counted} counted"));
        }
    };
    compare("entries", u128::from(record.entries), u128::from(sums.entries));
    compare("mapped bytes or markers", u128::from(record.mapped), u128::from(sums.mapped));
    compare("bytes of names", u128::from(record.name_bytes), u128::from(sums.name_bytes));
    let links = match record.kind {
        Kind::Directory => 2 + u128::from(sums.subdirectories),
        _ => u128::from(object.links),
    };
    compare("links", u128::from(record.links), links);
    if record.set_hash != sums.hash {
        differ("the set-hash does not fit: a record was put back, or removed, or is unreadable".into());
    }
    if record.kind == Kind::Regular && sums.end > record.size {
        differ(format!("an extent ends at {}, beyond the size {}", sums.end, record.size));
    }
    if record.kind != Kind::Regular && record.kind != Kind::Directory && sums.entries > 0 {
        differ("an object of this type has no extents".into());
    }
    if record.links == 0 && object.orphan.as_ref().is_none_or(|orphan| !orphan.unlinked) {
        differ("no name leads here, and there is no orphan record".into());
    }
    if record.kind == Kind::Directory && fileid != ROOT {
        if object.links != 1 {
            differ(format!("{} names lead to this directory", object.links));
        } else if object.parent != record.parent {
            differ(format!("its parent is recorded as {}, but it is in {}", record.parent, object.parent));
        }
    }
}

/// Every directory is below the root.
fn compare_tree(all: &Gathered, report: &mut Report) {
    let mut rooted: BTreeSet<u64> = BTreeSet::from([ROOT]);
    for (fileid, object) in &all.objects {
        let directory = object.record.as_ref().is_some_and(|record| record.kind == Kind::Directory);
        if !directory || object.links == 0 {
            continue;
        }
        let mut way = Vec::new();
        let mut at = *fileid;
        while !rooted.contains(&at) && !way.contains(&at) {
            way.push(at);
            at = all.objects.get(&at).map_or(0, |object| object.parent);
        }
        if rooted.contains(&at) {
            rooted.extend(way);
        } else if at != 0 {
            report.problem(Problem::Mismatch { fileid: *fileid, what: "the directory is not below the root".into() });
        }
    }
}
