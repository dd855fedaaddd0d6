//! Removing a file system's directory so that no crash brings it back, and finding what earlier removals or a restored
//! backup left behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A directory whose removal has begun has this before its name.
const GONE: &str = ".gone-";

/// What lies beside the file systems' directories without a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// Of removals that a crash interrupted: nobody can want them back.
    pub(crate) gone: Vec<PathBuf>,
    /// Directories that no file system's record knows. They may be data of a newer copy of the control shard, so they are
    /// shown and never touched.
    pub(crate) unknown: Vec<PathBuf>,
}

/// Removes a file system's directory. It is renamed first, durably, so that what a crash leaves is known for what it is
/// and never taken for a file system; and its absence is durable before this returns. Absent before is absent.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Err(io::Error::from(ErrorKind::InvalidInput));
    };
    let mut gone = std::ffi::OsString::from(GONE);
    gone.push(name);
    let gone = parent.join(gone);
    // One that an interrupted removal left would be in the way of the rename.
    absent(fs::remove_dir_all(&gone))?;
    absent(fs::rename(directory, &gone))?;
    sync(parent)?;
    absent(fs::remove_dir_all(&gone))?;
    sync(parent)
}

/// Looks for what is left in the directory of file systems; `known` are the ids that have a record.
pub(crate) fn find(parent: &Path, known: &BTreeSet<String>) -> io::Result<Leftovers> {
    let mut found = Leftovers::default();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match name.strip_prefix(GONE) {
            // Whoever deletes the file system goes on with it.
            Some(id) if known.contains(id) => {}
            Some(_) => found.gone.push(entry.path()),
            None if known.contains(&*name) => {}
            None => found.unknown.push(entry.path()),
        }
    }
    found.gone.sort();
    found.unknown.sort();
    Ok(found)
}

/// Ends the removals that a crash interrupted, and logs what nobody knows.
pub(crate) fn tidy(parent: &Path, known: &BTreeSet<String>) {
    let found = match find(parent, known) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(directory = %parent.display(), %error, "could not be looked through for leftovers");
            return;
        }
    };
    for path in found.gone {
        match absent(fs::remove_dir_all(&path)).and_then(|()| sync(parent)) {
            Ok(()) => tracing::info!(directory = %path.display(), "the rest of a deleted file system is removed"),
            Err(error) => {
                tracing::warn!(directory = %path.display(), %error, "the rest of a deleted file system stays")
            }
        }
    }
    for path in found.unknown {
        tracing::warn!(directory = %path.display(), "{UNKNOWN}");
    }
}

/// What is said of a directory without a record.
pub(crate) const UNKNOWN: &str =
    "no file system has this directory; if no newer copy of the control directory knows it, remove it";

fn absent(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(directory: &Path) {
        fs::create_dir_all(directory.join("engine")).unwrap();
        fs::write(directory.join("engine/1"), b"x").unwrap();
    }

    /// EFS API, DeleteFileSystem: whatever an interrupted removal left, the next one ends it; absent before is absent.
    #[test]
    fn a_removal_can_come_again() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("fs-1");
        for left in [&["fs-1"][..], &[".gone-fs-1"], &["fs-1", ".gone-fs-1"], &[]] {
            left.iter().for_each(|name| fill(&parent.path().join(name)));
            remove(&directory).unwrap();
            assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "{left:?}");
        }
    }

    /// docs/operations.md: what a deletion left is removed at the next start; a directory without a record is shown and
    /// never touched.
    #[test]
    fn leftovers_are_told_apart() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["fs-1", "fs-2", ".gone-fs-1", ".gone-fs-3"] {
            fill(&parent.path().join(name));
        }
        let known = BTreeSet::from(["fs-1".to_owned()]);
        let path = |name: &str| vec![parent.path().join(name)];
        assert_eq!(find(parent.path(), &known).unwrap(), Leftovers { gone: path(".gone-fs-3"), unknown: path("fs-2") });
        tidy(parent.path(), &known);
        assert_eq!(find(parent.path(), &known).unwrap(), Leftovers { gone: vec![], unknown: path("fs-2") });
        assert!(parent.path().join("fs-1").exists() && parent.path().join(".gone-fs-1").exists());
    }
}
