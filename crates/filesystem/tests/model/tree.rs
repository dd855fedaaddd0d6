//! The naive model of names: a tree as simple as can be, in which every object has a number of its own.

use std::collections::{BTreeMap, BTreeSet};

use filesystem::FsError;

/// The number of an object in the model. A change that makes one brings its number along.
pub(crate) type Id = usize;

pub(crate) const ROOT: Id = 0;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Directory(BTreeMap<String, Id>),
    File,
    Symlink(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) body: Body,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    /// As links are counted: names, or 2 and the subdirectories.
    pub(crate) links: u32,
}

/// One change that becomes durable whole or not at all.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Make { parent: Id, name: String, id: Id, body: Body },
    Remove { parent: Id, name: String },
    Rename { from: Id, old: String, to: Id, new: String },
    Link { id: Id, parent: Id, name: String },
    Set { id: Id, mode: u32, uid: u32 },
    Truncate { id: Id, size: u64 },
}

/// All objects, files without a name among them, and the last stored reply of each caller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) objects: BTreeMap<Id, Object>,
    pub(crate) replies: BTreeMap<usize, u32>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let root = Object { body: Body::Directory(BTreeMap::new()), mode: 0o755, uid: 0, links: 2 };
        Self { objects: BTreeMap::from([(ROOT, root)]), replies: BTreeMap::new() }
    }

    pub(crate) fn entries(&self, at: Id) -> Result<&BTreeMap<String, Id>, FsError> {
        match self.objects.get(&at) {
            Some(Object { body: Body::Directory(entries), .. }) => Ok(entries),
            Some(_) => Err(FsError::NotDirectory),
            None => Err(FsError::Stale),
        }
    }

    pub(crate) fn child(&self, at: Id, name: &str) -> Result<Id, FsError> {
        self.entries(at)?.get(name).copied().ok_or(FsError::NotFound)
    }

    fn entries_mut(&mut self, at: Id) -> &mut BTreeMap<String, Id> {
        match &mut self.objects.get_mut(&at).unwrap().body {
            Body::Directory(entries) => entries,
            _ => panic!("checked before"),
        }
    }

    pub(crate) fn is_directory(&self, id: Id) -> bool {
        matches!(self.objects.get(&id), Some(Object { body: Body::Directory(_), .. }))
    }

    pub(crate) fn is_file(&self, id: Id) -> bool {
        matches!(self.objects.get(&id), Some(Object { body: Body::File, .. }))
    }

    /// Files that nothing leads to any more.
    pub(crate) fn orphans(&self) -> BTreeSet<Id> {
        let nameless = self.objects.iter().filter(|(_, object)| object.links == 0);
        nameless.map(|(id, _)| *id).collect()
    }

    pub(crate) fn apply(&mut self, change: &Change) -> Result<(), FsError> {
        match change {
            Change::Make { parent, name, id, body } => {
                if self.entries(*parent)?.contains_key(name) {
                    return Err(FsError::Exists);
                }
                let (mode, links) = match body {
                    Body::Directory(_) => (0o755, 2),
                    Body::File => (0o644, 1),
                    Body::Symlink(_) => (0o777, 1),
                };
                self.objects.insert(*id, Object { body: body.clone(), mode, uid: 0, links });
                self.entries_mut(*parent).insert(name.clone(), *id);
                self.objects.get_mut(parent).unwrap().links += u32::from(links == 2);
            }
            Change::Remove { parent, name } => {
                let child = self.child(*parent, name)?;
                if self.is_directory(child) {
                    if !self.entries(child)?.is_empty() {
                        return Err(FsError::NotEmpty);
                    }
                    self.objects.get_mut(parent).unwrap().links -= 1;
                }
                self.entries_mut(*parent).remove(name);
                self.unlink(child);
            }
            Change::Rename { from, old, to, new } => self.rename((*from, old), (*to, new))?,
            Change::Link { id, parent, name } => {
                if !self.objects.contains_key(id) {
                    return Err(FsError::Stale);
                }
                if self.entries(*parent)?.contains_key(name) {
                    return Err(FsError::Exists);
                }
                let object = self.objects.get_mut(id).unwrap();
                if object.links == 0 {
                    return Err(FsError::NotFound);
                }
                object.links += 1;
                self.entries_mut(*parent).insert(name.clone(), *id);
            }
            Change::Set { id, mode, uid } => {
                let object = self.objects.get_mut(id).ok_or(FsError::Stale)?;
                (object.mode, object.uid) = (*mode, *uid);
            }
            Change::Truncate { id, .. } => drop(self.objects.get(id).ok_or(FsError::Stale)?),
        }
        Ok(())
    }

    fn rename(&mut self, (from, old): (Id, &str), (to, new): (Id, &str)) -> Result<(), FsError> {
        let source = self.child(from, old)?;
        let target = self.entries(to)?.get(new).copied();
        let directory = self.is_directory(source);
        if directory && from != to && self.is_below(to, source) {
            return Err(FsError::Invalid);
        }
        if target == Some(source) {
            return Ok(());
        }
        if let Some(target) = target {
            match self.entries(target) {
                Ok(entries) if directory && !entries.is_empty() => return Err(FsError::NotEmpty),
                Ok(_) if !directory => return Err(FsError::Exists),
                Err(_) if directory => return Err(FsError::Exists),
                _ => {}
            }
        }
        if directory {
            self.objects.get_mut(&from).unwrap().links -= 1;
            self.objects.get_mut(&to).unwrap().links += u32::from(target.is_none());
        }
        self.entries_mut(from).remove(old);
        self.entries_mut(to).insert(new.to_owned(), source);
        if let Some(target) = target {
            self.unlink(target);
        }
        Ok(())
    }

    /// Takes a name from an object. Files outlive their last name, for a while at least.
    fn unlink(&mut self, id: Id) {
        let object = self.objects.get_mut(&id).unwrap();
        object.links -= if matches!(object.body, Body::Directory(_)) { 2 } else { 1 };
        if object.links == 0 && object.body != Body::File {
            self.objects.remove(&id);
        }
    }

    fn is_below(&self, at: Id, ancestor: Id) -> bool {
        let below = |entries: &BTreeMap<String, Id>| entries.values().any(|child| self.is_below(at, *child));
        at == ancestor || self.entries(ancestor).is_ok_and(below)
    }

    /// The same without what nothing leads to.
    pub(crate) fn named(&self) -> Self {
        let mut named = self.clone();
        named.objects.retain(|_, object| object.links > 0);
        named
    }
}
