//! What callers do, and how chance chooses it.

use std::collections::BTreeMap;

use crate::{
    content::What,
    pattern::Random,
    tree::{Body, Change, Id, ROOT, Tree},
};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Change(Change),
    Write {
        id: Id,
        what: What,
        pattern: u64,
        stable: bool,
    },
    Commit(Id),
    Read {
        id: Id,
        offset: u64,
        count: u32,
    },
    Look(Id),
    Lookup {
        parent: Id,
        name: String,
    },
    List(Id),
    /// Holds a file open until this caller closes what it holds.
    Open(Id),
    Close,
    /// A recovery record of this caller: put, or deleted.
    Record(Option<u64>),
    /// Packs, merges and cleans, as it otherwise goes on in the background.
    Reclaim,
}

/// Files do not grow beyond this.
const FILE_BYTES_MAX: usize = 5 << 20;

/// Runs that make so many map entries that a removal takes steps.
const SCATTERED: u64 = 230;

/// Chooses steps, and counts what must be used once only.
pub(crate) struct Chooser {
    pub(crate) random: Random,
    next_id: Id,
    next_pattern: u64,
    large: bool,
    names: usize,
}

impl Chooser {
    /// The fewer names there are, the more callers meet at the same object.
    pub(crate) fn new(seed: u64, large: bool) -> Self {
        let mut random = Random(seed);
        let names = 1 + random.below(6);
        Self { random, next_id: ROOT, next_pattern: 0, large, names }
    }

    fn name(&mut self) -> String {
        ["a", "b", "c", "d", "e", "f"][self.random.below(self.names)].into()
    }

    fn directory(&mut self, tree: &Tree) -> Id {
        let all: Vec<Id> = tree.objects.keys().copied().filter(|id| tree.is_directory(*id)).collect();
        self.random.pick(&all).unwrap_or(ROOT)
    }

    /// Any file, one without a name now and then.
    fn file(&mut self, tree: &Tree) -> Option<Id> {
        let nameless = self.random.chance(100);
        let all: Vec<Id> = tree.objects.keys().copied().filter(|id| tree.is_file(*id)).collect();
        let named: Vec<Id> = all.iter().copied().filter(|id| tree.objects[id].links > 0).collect();
        self.random.pick(if nameless { &all } else { &named })
    }

    fn make(&mut self, tree: &Tree, body: Body) -> Step {
        self.next_id += 1;
        Step::Change(Change::Make { parent: self.directory(tree), name: self.name(), id: self.next_id, body })
    }

    pub(crate) fn step(&mut self, tree: &Tree) -> Step {
        let kind = self.random.below(42);
        let directory = self.directory(tree);
        match kind {
            0..=2 => self.make(tree, Body::Directory(BTreeMap::new())),
            3..=6 => self.make(tree, Body::File),
            7 => {
                let target = format!("to{}", self.random.below(9));
                self.make(tree, Body::Symlink(target))
            }
            8..=11 => Step::Change(Change::Remove { parent: directory, name: self.name() }),
            12..=15 => {
                let (to, old, new) = (self.directory(tree), self.name(), self.name());
                Step::Change(Change::Rename { from: directory, old, to, new })
            }
            16 => Step::Lookup { parent: directory, name: self.name() },
            17 => Step::List(directory),
            18 => Step::Close,
            40 | 41 => Step::Reclaim,
            19 => Step::Record((!self.random.chance(300)).then(|| self.random.next())),
            _ => match self.file(tree) {
                Some(id) => self.on_file(kind, id, directory),
                None => self.make(tree, Body::File),
            },
        }
    }

    fn on_file(&mut self, kind: usize, id: Id, directory: Id) -> Step {
        match kind {
            20 => Step::Change(Change::Link { id, parent: directory, name: self.name() }),
            21 => {
                let (mode, uid) = (self.random.below(0o777) as u32, self.random.below(3) as u32);
                Step::Change(Change::Set { id, mode, uid })
            }
            22 | 23 => {
                let reach = if self.large { FILE_BYTES_MAX } else { 90_000 };
                let reach = if self.random.chance(500) { 9000 } else { reach };
                Step::Change(Change::Truncate { id, size: self.random.below(reach) as u64 })
            }
            24 => Step::Look(id),
            25 | 26 => Step::Open(id),
            27..=29 => Step::Commit(id),
            30 | 31 => {
                let count = if self.random.chance(300) { 4 << 20 } else { 9000 };
                Step::Read { id, offset: self.random.below(20_000) as u64, count }
            }
            _ => self.write(id),
        }
    }

    fn write(&mut self, id: Id) -> Step {
        let random = &mut self.random;
        self.next_pattern += 1;
        let stable = random.chance(400);
        if self.large && random.chance(60) {
            let what = What::Write { offset: 0, length: 1, stride: 8192, count: SCATTERED };
            return Step::Write { id, what, pattern: self.next_pattern, stable: false };
        }
        let length = match random.below(if self.large { 12 } else { 10 }) {
            0 => 1,
            1..=5 => 1 + random.below(6000),
            6..=9 => 1 + random.below(70_000),
            10 => 1 + random.below(1 << 20),
            _ => 1 + random.below(3 << 20),
        };
        let offset = match random.below(5) {
            0 => 0,
            1 => 4096 * random.below(20),
            // Over the boundary of two windows.
            2 if self.large => (1 << 20) - random.below(6000),
            _ => random.below(50_000),
        };
        let what = What::Write { offset: offset as u64, length: length as u64, stride: 0, count: 1 };
        Step::Write { id, what, pattern: self.next_pattern, stable }
    }
}
