//! One walk over everything, pass by pass, and what it gathers.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use storage::Scan;

use crate::{
    Result,
    core::Core,
    fsck::{
        Finding, Observer, Phase, Problem, Progress, REPAIRS_AT_ONCE, Repair, Report, cursor::Cursor, repair::Evidence,
        table::Table,
    },
    names::Names,
    record::{Counters, Usage},
    seal::Hex,
};

/// What the maps say of one segment.
#[derive(Default)]
pub(super) struct SegmentSums {
    pub(super) live: i64,
    /// The furthest that maps reach into it.
    pub(super) reach: u64,
}

/// What a walk knows so far.
pub(super) struct Walk<'a> {
    pub(super) core: &'a Core,
    pub(super) names: Arc<Names>,
    pub(super) observer: &'a dyn Observer,
    pub(super) report: Report,
    repairs: Vec<Repair>,
    pub(super) sound: Evidence,
    pub(super) table: Table,
    pub(super) segments: BTreeMap<u64, SegmentSums>,
    pub(super) counted: Usage,
    /// The highest of each counter's values in use.
    pub(super) used: Counters,
    /// Entries that directories' records speak of.
    pub(super) entries_expected: u64,
    /// Plaintext bytes that maps cover.
    pub(super) data_expected: u64,
    pub(super) progress: Progress,
}

impl Core {
    /// Everything there is to find, and the proven repairs that follow from it.
    pub(super) async fn walk(&self, open_data: bool, observer: &dyn Observer) -> Result<(Report, Vec<Repair>)> {
        let mut walk = Walk {
            core: self,
            names: self.keys.names()?,
            observer,
            report: Report { data_checked: open_data, ..Report::default() },
            repairs: Vec::new(),
            sound: Evidence::SOUND,
            table: Table::default(),
            segments: BTreeMap::new(),
            counted: Usage::default(),
            used: Counters::default(),
            entries_expected: 0,
            data_expected: 0,
            progress: Progress { phase: Phase::Objects, done: 0, done_of: 0, bytes: 0, bytes_of: 0 },
        };
        walk.objects().await?;
        walk.entries().await?;
        walk.storage_use().await?;
        walk.others().await?;
        if open_data {
            walk.contents().await?;
        }
        walk.judge_repairs();
        walk.find_paths().await?;
        Ok((walk.report, walk.repairs))
    }
}

impl Walk<'_> {
    pub(super) fn problem(&mut self, problem: Problem) {
        self.report.list(Finding { problem, path: None, repair: None });
    }

    /// A problem that `repair` sets right, if that turns out to be proven.
    pub(super) fn repairable(&mut self, problem: Problem, repair: Repair) {
        self.propose(repair.clone());
        self.report.list(Finding { problem, path: None, repair: Some(repair) });
    }

    pub(super) fn propose(&mut self, repair: Repair) {
        if self.repairs.len() < REPAIRS_AT_ONCE {
            self.repairs.push(repair);
        }
    }

    /// Only now everything is known that a repair relies on.
    fn judge_repairs(&mut self) {
        let sound = self.sound;
        self.repairs.retain(|repair| repair.is_proven(&sound));
        for found in &mut self.report.problems {
            found.repair.take_if(|repair| !repair.is_proven(&sound));
        }
    }

    pub(super) fn begin(&mut self, phase: Phase, done_of: u64, bytes_of: u64) {
        self.progress = Progress { phase, done: 0, done_of, bytes: 0, bytes_of };
        self.observer.progress(&self.progress);
    }

    pub(super) fn tell(&self) {
        self.observer.progress(&self.progress);
    }

    /// Opens one record and has it decoded; what does not open becomes a problem of the class.
    pub(super) fn open<T>(
        &mut self,
        (class, fileid): (&'static str, Option<u64>),
        (key, value): &(Bytes, Bytes),
        decode: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Option<T> {
        self.report.records += 1;
        match self.core.open_record(key, value).and_then(|record| decode(&record)) {
            Ok(record) => Some(record),
            Err(error) => {
                let (key, why) = (Hex(key).to_string(), error.to_string());
                self.problem(Problem::Unreadable { key, class, fileid, why });
                None
            }
        }
    }

    /// Keys that are not of our making. True if there are any.
    pub(super) fn misshapen(&mut self, cursor: &Cursor<'_>) -> bool {
        for key in &cursor.misshapen {
            self.unknown(key);
        }
        !cursor.misshapen.is_empty()
    }

    pub(super) fn unknown(&mut self, key: &[u8]) {
        let (key, why) = (Hex(key).to_string(), "no record has such a key".to_owned());
        self.problem(Problem::Unreadable { key, class: "a record of no known kind", fileid: None, why });
    }

    /// All of one scan, for records that are looked at one by one.
    pub(super) async fn each(&mut self, scan: Scan, mut look: impl FnMut(&mut Self, (Bytes, Bytes))) -> Result<()> {
        let mut scan = scan;
        loop {
            let page = self.core.shard.scan(scan.clone()).await?;
            self.core.renew_if_due(crate::lease::Which::Metadata).await?;
            self.progress.done += page.items.len() as u64;
            self.tell();
            let last = page.items.last().map(|(key, _)| key.clone());
            for record in page.items {
                look(self, record);
            }
            match last {
                Some(last) if page.more => scan = scan.after(&last),
                _ => return Ok(()),
            }
        }
    }
}
