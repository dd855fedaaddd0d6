//! Paths of the objects that findings are about: whoever reads of a file wants to know which one it is.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use storage::{Keyspace, Scan};

use crate::{
    Result,
    fsck::{problem::shown, walk::Walk},
    keys,
    open::ROOT,
    record::EntryRecord,
};

/// Directories on the way to the root, at most: more are a ring.
const DEPTH_MAX: usize = 2000;

/// Directories that are looked through for names, at most.
const DIRECTORIES_MAX: usize = 10_000;

impl Walk<'_> {
    /// Says where the objects are that findings are about, as far as entries tell.
    pub(super) async fn find_paths(&mut self) -> Result<()> {
        let mut wanted: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let fileids: Vec<u64> = self.report.problems.iter().filter_map(|found| found.problem.fileid()).collect();
        for fileid in fileids {
            for (child, directory) in self.way(fileid) {
                if wanted.len() < DIRECTORIES_MAX || wanted.contains_key(&directory) {
                    wanted.entry(directory).or_default().insert(child);
                }
            }
        }
        let mut names: BTreeMap<u64, String> = BTreeMap::new();
        for (directory, children) in &wanted {
            let prefix = keys::entry(*directory, 0).slice(..9);
            self.each(Scan::prefix(Keyspace::Records, &prefix), |walk, (key, value): (Bytes, Bytes)| {
                let entry = walk.core.open_record(&key, &value).and_then(|record| EntryRecord::decode(&record));
                if let Ok(EntryRecord::Entry { name, fileid, .. }) = entry
                    && children.contains(&fileid)
                {
                    names.insert(fileid, shown(&name));
                }
            })
            .await?;
        }
        for at in 0..self.report.problems.len() {
            let Some(fileid) = self.report.problems.get(at).and_then(|found| found.problem.fileid()) else { continue };
            let path = self.path(fileid, &names);
            if let Some(found) = self.report.problems.get_mut(at) {
                found.path = path;
            }
        }
        Ok(())
    }

    /// Each object on the way to the root with its directory, as far as it leads.
    fn way(&self, fileid: u64) -> Vec<(u64, u64)> {
        let mut way = Vec::new();
        let mut at = self.table.find(fileid);
        while let Some(index) = at
            && way.len() < DEPTH_MAX
        {
            at = self.table.holder(index);
            let child = self.table.row(index).map(|row| row.fileid);
            let directory = at.and_then(|holder| self.table.row(holder)).map(|row| row.fileid);
            if let (Some(child), Some(directory)) = (child, directory) {
                way.push((child, directory));
            }
        }
        way
    }

    fn path(&self, fileid: u64, names: &BTreeMap<u64, String>) -> Option<String> {
        if fileid == ROOT {
            return Some("/".to_owned());
        }
        let way = self.way(fileid);
        if way.last().is_none_or(|(_, directory)| *directory != ROOT) {
            return None;
        }
        let mut path = String::new();
        for (child, _) in way.iter().rev() {
            path.push('/');
            path.push_str(names.get(child)?);
        }
        Some(path)
    }
}
