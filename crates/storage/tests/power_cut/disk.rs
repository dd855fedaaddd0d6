//! A disk that loses what was not synced: from a log of changes to what may lie on it after the power went.
//!
//! The model is POSIX at its least: a sync of a file makes its bytes and its length durable, a sync of a directory its
//! names, and neither the other. Of everything later, each sector of 512 bytes keeps any of the contents that it had since
//! the sync, each name any of its meanings, each file any of its lengths, all independently. One thing is taken for
//! granted: a name that is given another meaning has the old or the new one (rename(2)).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
};

use crate::{
    log::{Event, Node, ROOT},
    random::Random,
};

const PAGE: u64 = 4096;
const SECTOR: u64 = 512;

/// The contents of a file; pages that are not there are zeros.
#[derive(Clone, Default)]
pub(crate) struct Contents {
    length: u64,
    pages: BTreeMap<u64, Arc<[u8; 4096]>>,
}

impl Contents {
    fn write(&mut self, at: u64, bytes: &[u8]) {
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let inside = usize::try_from(at % PAGE).unwrap();
            let (part, later) = rest.split_at(rest.len().min(4096 - inside));
            let page = self.pages.entry(at / PAGE).or_insert_with(|| Arc::new([0; 4096]));
            Arc::make_mut(page)[inside..inside + part.len()].copy_from_slice(part);
            at += part.len() as u64;
            rest = later;
        }
        self.length = self.length.max(at);
    }

    fn set_length(&mut self, length: u64) {
        self.zero_from(length);
        self.length = length;
    }

    /// Takes away what lies at `from` and after it.
    fn zero_from(&mut self, from: u64) {
        self.pages.split_off(&from.div_ceil(PAGE));
        if let Some(page) = self.pages.get_mut(&(from / PAGE)) {
            Arc::make_mut(page)[usize::try_from(from % PAGE).unwrap()..].fill(0);
        }
    }

    fn sector(&self, sector: u64) -> Option<&[u8]> {
        let at = usize::try_from(sector * SECTOR % PAGE).unwrap();
        self.pages.get(&(sector * SECTOR / PAGE)).map(|page| &page[at..at + 512])
    }

    /// Takes over one sector of another file's, whatever the lengths.
    fn take_sector(&mut self, from: &Self, sector: u64) {
        let length = self.length;
        match from.sector(sector) {
            Some(bytes) => self.write(sector * SECTOR, bytes),
            None if self.sector(sector).is_some() => self.write(sector * SECTOR, &[0; 512]),
            None => {}
        }
        self.length = length;
    }

    fn store(&self, path: &Path) {
        let file = File::create(path).unwrap();
        file.set_len(self.length).unwrap();
        let mut pages = self.pages.iter().peekable();
        while let Some((&first, page)) = pages.next() {
            let mut run = page.to_vec();
            while let Some((_, page)) = pages.next_if(|(at, _)| **at == first + run.len() as u64 / PAGE) {
                run.extend_from_slice(&page[..]);
            }
            run.truncate(usize::try_from((self.length - first * PAGE).min(run.len() as u64)).unwrap());
            file.write_all_at(&run, first * PAGE).unwrap();
        }
    }
}

/// A change of a file that no sync has made durable.
enum Unsynced {
    Write(u64, Arc<[u8]>),
    Length(u64),
}

enum Kind {
    File { durable: Contents, unsynced: Vec<Unsynced> },
    Directory { durable: BTreeMap<String, Node>, unsynced: Vec<(String, Option<Node>)> },
}

/// What survives of that which was not synced.
#[derive(Clone, Copy)]
pub(crate) enum Survives {
    Everything,
    /// As a seed has it.
    Random(u64),
}

/// A lie of a disk: a sync that it says it has done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    /// Of files.
    Files,
    /// Of directories.
    Directories,
}

/// The disk.
pub(crate) struct Disk {
    nodes: BTreeMap<Node, Kind>,
    lie: Lie,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let root = Kind::Directory { durable: BTreeMap::new(), unsynced: Vec::new() };
        Self { nodes: [(ROOT, root)].into(), lie: Lie::None }
    }

    /// From now on the disk lies about some syncs.
    pub(crate) fn lie(&mut self, lie: Lie) {
        self.lie = lie;
    }

    /// The next event.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::New { node, directory: true } => {
                self.nodes.insert(*node, Kind::Directory { durable: BTreeMap::new(), unsynced: Vec::new() });
            }
            Event::New { node, directory: false } => {
                self.nodes.insert(*node, Kind::File { durable: Contents::default(), unsynced: Vec::new() });
            }
            Event::Bind { directory, name, node } => self.names(*directory).push((name.clone(), Some(*node))),
            Event::Unbind { directory, name } => self.names(*directory).push((name.clone(), None)),
            Event::Write { file, at, bytes } => self.changes(*file).push(Unsynced::Write(*at, bytes.0.clone())),
            Event::SetLength { file, length } => self.changes(*file).push(Unsynced::Length(*length)),
            Event::SyncFile { .. } if self.lie == Lie::Files => {}
            Event::SyncDirectory { .. } if self.lie == Lie::Directories => {}
            Event::SyncFile { file: node } | Event::SyncDirectory { directory: node } => self.sync(*node),
            Event::Note(_) => {}
        }
    }

    fn names(&mut self, directory: Node) -> &mut Vec<(String, Option<Node>)> {
        match self.nodes.get_mut(&directory) {
            Some(Kind::Directory { unsynced, .. }) => unsynced,
            _ => panic!("{directory} is no directory"),
        }
    }

    fn changes(&mut self, file: Node) -> &mut Vec<Unsynced> {
        match self.nodes.get_mut(&file) {
            Some(Kind::File { unsynced, .. }) => unsynced,
            _ => panic!("{file} is no file"),
        }
    }

    fn sync(&mut self, node: Node) {
        match self.nodes.get_mut(&node).expect("a node that is known") {
            Kind::File { durable, unsynced } => {
                for change in unsynced.drain(..) {
                    match change {
                        Unsynced::Write(at, bytes) => durable.write(at, &bytes),
                        Unsynced::Length(length) => durable.set_length(length),
                    }
                }
            }
            Kind::Directory { durable, unsynced } => {
                for (name, meaning) in unsynced.drain(..) {
                    rename(durable, &name, meaning);
                }
            }
        }
    }

    /// Writes what is left after a cut of the power into an empty directory.
    pub(crate) fn store(&self, survives: Survives, path: &Path) {
        self.store_directory(ROOT, survives, path);
    }

    fn store_directory(&self, directory: Node, survives: Survives, path: &Path) {
        let Some(Kind::Directory { durable, unsynced }) = self.nodes.get(&directory) else { panic!("no directory") };
        let mut chance = Chance::new(survives, directory);
        let mut names = durable.clone();
        for (name, meaning) in unsynced {
            if chance.keeps() {
                rename(&mut names, name, *meaning);
            }
        }
        for (name, node) in names {
            let path = path.join(name);
            match &self.nodes[&node] {
                Kind::Directory { .. } => {
                    fs::create_dir(&path).unwrap();
                    self.store_directory(node, survives, &path);
                }
                Kind::File { durable, unsynced } if unsynced.is_empty() => durable.store(&path),
                Kind::File { durable, unsynced } => {
                    survivors(durable, unsynced, Chance::new(survives, node)).store(&path);
                }
            }
        }
    }
}

fn rename(names: &mut BTreeMap<String, Node>, name: &str, meaning: Option<Node>) {
    match meaning {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}

/// Decides what of one node survives; how much differs from node to node and from cut to cut.
struct Chance {
    random: Random,
    percent: usize,
}

impl Chance {
    fn new(survives: Survives, node: Node) -> Self {
        let Survives::Random(seed) = survives else { return Self { random: Random::new(0), percent: 100 } };
        let mut random = Random::new(seed ^ u64::from(node).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let percent = [0, 0, 10, 50, 50, 90, 100][random.below(7)];
        Self { random, percent }
    }

    fn keeps(&mut self) -> bool {
        self.random.percent(self.percent)
    }
}

/// A file after the cut.
fn survivors(durable: &Contents, unsynced: &[Unsynced], mut chance: Chance) -> Contents {
    let (mut live, mut kept, mut length) = (durable.clone(), durable.clone(), durable.length);
    for change in unsynced {
        let touched: BTreeSet<u64> = match change {
            Unsynced::Write(at, bytes) => {
                live.write(*at, bytes);
                (at / SECTOR..(at + bytes.len() as u64).div_ceil(SECTOR)).collect()
            }
            Unsynced::Length(length) => {
                let pages = live.pages.range(length / PAGE..).map(|(page, _)| *page);
                let cut = pages.flat_map(|page| page * PAGE / SECTOR..(page + 1) * PAGE / SECTOR);
                let cut = cut.filter(|sector| (sector + 1) * SECTOR > *length).collect();
                live.set_length(*length);
                cut
            }
        };
        for sector in touched {
            if chance.keeps() {
                kept.take_sector(&live, sector);
            }
        }
        if chance.keeps() {
            length = live.length;
        }
    }
    kept.set_length(length);
    kept
}
