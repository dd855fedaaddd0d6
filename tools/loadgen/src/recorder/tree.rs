//! What the file system must hold, by what was acknowledged.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::measure::named;

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Vec<u8>),
    Directory,
    Symlink(PathBuf),
}

/// An object and what is known of it. `None` means that the last change left it to the server.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) mode: Option<u32>,
    pub(crate) mtime_seconds: Option<i64>,
}

/// Names and objects; several names may mean one object (hard links).
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) names: BTreeMap<PathBuf, usize>,
    pub(super) objects: Vec<Object>,
}

impl Tree {
    pub(crate) fn add(&mut self, name: PathBuf, object: Object) -> usize {
        let id = self.objects.len();
        self.objects.push(object);
        self.names.insert(name, id);
        id
    }

    pub(crate) fn object(&mut self, id: usize) -> Result<&mut Object, String> {
        self.objects.get_mut(id).ok_or_else(|| "the recorder lost an object of its own".to_owned())
    }

    /// The names whose object passes.
    pub(crate) fn which(&self, passes: impl Fn(&Kind) -> bool) -> Vec<PathBuf> {
        let known = |id: &usize| self.objects.get(*id).is_some_and(|object| passes(&object.kind));
        self.names.iter().filter(|(_, id)| known(id)).map(|(name, _)| name.clone()).collect()
    }

    /// Moves a name, and all names below it.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) {
        let moving: Vec<_> = self.names.keys().filter(|name| name.starts_with(from)).cloned().collect();
        for name in moving {
            if let (Some(id), Ok(rest)) = (self.names.remove(&name), name.strip_prefix(from)) {
                let fresh = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
                self.names.insert(fresh, id);
            }
        }
    }

    /// Compares everything with what is there. Of objects that are held open, names that were removed live on as the
    /// client's own `.nfs..` links.
    pub(crate) fn compare(&self, root: &Path, open: &[usize]) -> Result<(), String> {
        for (name, id) in &self.names {
            let object = self.objects.get(*id).ok_or("the recorder lost an object of its own")?;
            let links = self.names.values().filter(|other| *other == id).count() as u64;
            let links = (!open.contains(id)).then_some(links);
            object.compare(&root.join(name), links)?;
        }
        let mut directories = self.which(|kind| *kind == Kind::Directory);
        directories.push(PathBuf::new());
        directories.iter().try_for_each(|directory| self.compare_names(root, directory))
    }

    fn compare_names(&self, root: &Path, directory: &Path) -> Result<(), String> {
        let path = root.join(directory);
        let mut found: Vec<OsString> = Vec::new();
        for entry in fs::read_dir(&path).map_err(named(&path))? {
            let name = entry.map_err(named(&path))?.file_name();
            // A file that is removed while open keeps such a name until it is closed: the client's doing.
            if !name.to_string_lossy().starts_with(".nfs") {
                found.push(name);
            }
        }
        found.sort();
        let below = |name: &&PathBuf| name.parent() == Some(directory);
        let mut wanted: Vec<_> =
            self.names.keys().filter(below).filter_map(|name| name.file_name()).map(OsString::from).collect();
        wanted.sort();
        if found == wanted {
            return Ok(());
        }
        let lost: Vec<_> = wanted.iter().filter(|name| !found.contains(name)).collect();
        let strange: Vec<_> = found.iter().filter(|name| !wanted.contains(name)).collect();
        Err(format!("{}: acknowledged but not listed: {lost:?}; listed but removed: {strange:?}", path.display()))
    }
}

impl Object {
    fn compare(&self, path: &Path, links: Option<u64>) -> Result<(), String> {
        let mut is = fs::symlink_metadata(path).map_err(named(path))?;
        // The client removes those links in the background once the file is closed.
        for _ in 0..100 {
            if !is.is_file() || links.is_none_or(|links| is.nlink() <= links) {
                break;
            }
            thread::sleep(Duration::from_millis(50));
            is = fs::symlink_metadata(path).map_err(named(path))?;
        }
        let differs = |what: &str| Err(format!("{}: {what}", path.display()));
        if self.mode.is_some_and(|mode| mode != is.mode() & 0o7777) {
            return differs(&format!("mode {:o}, {:o} was acknowledged", is.mode(), self.mode.unwrap_or_default()));
        }
        if self.mtime_seconds.is_some_and(|mtime| mtime != is.mtime()) {
            return differs(&format!("mtime {}, {:?} was acknowledged", is.mtime(), self.mtime_seconds));
        }
        match &self.kind {
            Kind::Directory if !is.is_dir() => differs("no directory any more"),
            Kind::Directory => Ok(()),
            Kind::Symlink(target) => {
                let found = fs::read_link(path).map_err(named(path))?;
                if found == *target { Ok(()) } else { differs("another symlink target than was acknowledged") }
            }
            Kind::File(content) => {
                if links.is_some_and(|links| links != is.nlink()) {
                    return differs(&format!("{} links, {links:?} were acknowledged", is.nlink()));
                }
                let found = fs::read(path).map_err(named(path))?;
                if found.len() != content.len() {
                    return differs(&format!("{} bytes, {} were acknowledged", found.len(), content.len()));
                }
                match found.iter().zip(content).position(|(found, wanted)| found != wanted) {
                    Some(place) => differs(&format!("other content from byte {place} of {}", content.len())),
                    None => Ok(()),
                }
            }
        }
    }
}
