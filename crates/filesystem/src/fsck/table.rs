//! What is kept of every object while a check runs: 32 bytes, so that ten million fit into a third of a gigabyte.

use crate::Kind;

/// The record does not open: the object is there, and nothing more is known of it.
pub(super) const UNREADABLE: u8 = 1;
/// An orphan record says that its last name is gone.
pub(super) const UNLINKED: u8 = 2;
/// There is an orphan record that does not open.
pub(super) const ORPHAN_UNREADABLE: u8 = 4;
/// A directory whose record speaks of entries; they have not been seen yet.
pub(super) const AWAITS_ENTRIES: u8 = 8;
/// A directory that is below the root.
pub(super) const ROOTED: u8 = 16;
/// A directory that is not.
pub(super) const ADRIFT: u8 = 32;
/// A directory that the walk to the root has just passed.
pub(super) const PASSED: u8 = 64;

/// No directory.
const NOWHERE: u32 = u32::MAX;

/// One object.
pub(super) struct Row {
    pub(super) fileid: u64,
    /// Of a directory: the parent that its record names.
    pub(super) parent: u64,
    /// The row of the directory of the last entry that leads here.
    holder: u32,
    /// Links that the record names.
    pub(super) links: u32,
    /// Entries that lead here.
    pub(super) names: u32,
    kind: u8,
    pub(super) flags: u8,
}

const _: () = assert!(size_of::<Row>() == 32, "memory of a check is counted in these");

impl Row {
    /// What is known from the object's own record.
    pub(super) const fn new(fileid: u64, kind: Kind, links: u32, parent: u64) -> Self {
        Self { fileid, parent, holder: NOWHERE, links, names: 0, kind: kind as u8, flags: 0 }
    }

    /// An object whose record does not open.
    pub(super) const fn unreadable(fileid: u64) -> Self {
        Self { fileid, parent: 0, holder: NOWHERE, links: 0, names: 0, kind: 0, flags: UNREADABLE }
    }

    /// The type, if the record opens.
    pub(super) fn kind(&self) -> Option<Kind> {
        Kind::from_u8(self.kind)
    }

    pub(super) const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// All objects, in the order of their fileids.
#[derive(Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    /// Adds the next object; fileids come in their order.
    pub(super) fn push(&mut self, row: Row) {
        debug_assert!(self.0.last().is_none_or(|last| last.fileid < row.fileid), "keys come in order");
        self.0.push(row);
    }

    pub(super) fn find(&self, fileid: u64) -> Option<usize> {
        self.0.binary_search_by_key(&fileid, |row| row.fileid).ok()
    }

    pub(super) fn row(&self, index: usize) -> Option<&Row> {
        self.0.get(index)
    }

    pub(super) fn row_mut(&mut self, index: usize) -> Option<&mut Row> {
        self.0.get_mut(index)
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// An entry of the directory at `holder` leads to the object at `child`.
    pub(super) fn name(&mut self, child: usize, holder: Option<usize>) {
        let holder = holder.and_then(|holder| u32::try_from(holder).ok()).unwrap_or(NOWHERE);
        if let Some(row) = self.0.get_mut(child) {
            row.names = row.names.saturating_add(1);
            row.holder = holder;
        }
    }

    /// The directory that holds the object at `index`, of several the last.
    pub(super) fn holder(&self, index: usize) -> Option<usize> {
        let holder = usize::try_from(self.0.get(index)?.holder).ok()?;
        (holder < self.0.len()).then_some(holder)
    }

    /// The directories that no way leads to from `root`.
    pub(super) fn adrift(&mut self, root: u64) -> Vec<u64> {
        let mut found = Vec::new();
        let mut way = Vec::new();
        for start in 0..self.0.len() {
            let Some(row) = self.0.get(start) else { continue };
            if row.kind() != Some(Kind::Directory) || row.names == 0 {
                continue;
            }
            let mut at = Some(start);
            let rooted = loop {
                let Some(index) = at else { break false };
                let Some(row) = self.0.get_mut(index) else { break false };
                if row.fileid == root || row.is(ROOTED) {
                    break true;
                }
                if row.is(ADRIFT | PASSED) {
                    break false;
                }
                row.flags |= PASSED;
                way.push(index);
                at = self.holder(index);
            };
            for index in way.drain(..) {
                let Some(row) = self.0.get_mut(index) else { continue };
                row.flags = (row.flags & !PASSED) | if rooted { ROOTED } else { ADRIFT };
                if !rooted && row.names > 0 {
                    found.push(row.fileid);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 3, "Checking": every directory is below the root; a ring of directories, what hangs below it, and
    /// what is below a directory without a name are not, and the search for them ends.
    #[test]
    fn directories_that_are_not_below_the_root_are_found() {
        let mut table = Table::default();
        for fileid in 1..=9 {
            table.push(Row::new(fileid, Kind::Directory, 2, 1));
        }
        // 2 and 3 are below the root; 4 and 5 hold each other, 6 is below them; 7 has no name and holds 8; 9 holds itself.
        for (child, holder) in [(2, 1), (3, 2), (4, 5), (5, 4), (6, 5), (8, 7), (9, 9)] {
            let (child, holder) = (table.find(child).unwrap(), table.find(holder));
            table.name(child, holder);
        }
        let mut adrift = table.adrift(1);
        adrift.sort_unstable();
        assert_eq!(adrift, [4, 5, 6, 8, 9]);
        assert_eq!(table.holder(table.find(3).unwrap()), table.find(2));
        assert_eq!(table.holder(table.find(7).unwrap()), None);
    }
}
