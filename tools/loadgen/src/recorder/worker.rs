//! One worker of the recorder: one random operation after the other in a directory of its own.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::tree::{Kind, Object, Tree};
use crate::dice::Dice;
use crate::measure::named;

const NAMES_MAX: usize = 400;
const OPEN_MAX: usize = 4;
const RECENT: usize = 12;

pub(crate) struct Worker {
    root: PathBuf,
    dice: Dice,
    tree: Tree,
    /// Files held open across operations and restarts, with their objects.
    open: Vec<(File, usize)>,
    fresh: u64,
    recent: VecDeque<String>,
}

impl Worker {
    pub(crate) fn new(root: PathBuf, seed: u64) -> Result<Self, String> {
        fs::create_dir(&root).map_err(named(&root))?;
        let (tree, open, recent) = (Tree::default(), Vec::new(), VecDeque::new());
        Ok(Self { root, dice: Dice::new(seed), tree, open, fresh: 0, recent })
    }

    /// Does one operation and notes it. Any error is a finding: nothing here may fail.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let crowded = self.tree.names.len() > NAMES_MAX;
        match self.dice.below(100) {
            0..25 if !crowded => self.create(),
            25..30 if !crowded => self.make_directory(),
            30..33 if !crowded => self.make_symlink(),
            33..37 if !crowded => self.link(),
            37..52 => self.rename(),
            52..55 => self.rename_directory(),
            55..63 => self.change_mode(),
            63..68 => self.change_time(),
            68..73 => self.change_size(),
            73..80 => self.open_one(),
            80..90 => self.write_open(),
            _ => self.remove(),
        }
    }

    /// Compares all that was acknowledged with what is there.
    pub(crate) fn compare(&mut self) -> Result<(), String> {
        for (file, id) in &self.open {
            let Kind::File(content) = &self.tree.object(*id)?.kind else { continue };
            let mut found = vec![0; content.len()];
            file.read_exact_at(&mut found, 0).map_err(|error| format!("an open file of {}: {error}", content.len()))?;
            if found != *content {
                return Err(format!("an open file of {} bytes has other content", content.len()));
            }
        }
        let open: Vec<usize> = self.open.iter().map(|(_, id)| *id).collect();
        self.tree.compare(&self.root, &open)
    }

    /// The last operations, for a report.
    pub(crate) fn recent(&self) -> String {
        self.recent.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    fn note(&mut self, what: String) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(what);
    }

    fn pick(&mut self, passes: impl Fn(&Kind) -> bool) -> Option<PathBuf> {
        let mut which = self.tree.which(passes);
        let nth = usize::try_from(self.dice.below(which.len() as u64)).unwrap_or(0);
        (nth < which.len()).then(|| which.swap_remove(nth))
    }

    /// A name that was never used, in a directory that is there.
    fn fresh_name(&mut self, what: &str) -> PathBuf {
        self.fresh += 1;
        let name = format!("{what}-{:06}", self.fresh);
        match self.dice.below(3) {
            0 => PathBuf::from(name),
            _ => self.pick(|kind| *kind == Kind::Directory).unwrap_or_default().join(name),
        }
    }

    fn content(&mut self) -> Vec<u8> {
        let bound = if self.dice.below(8) == 0 { 300_000 } else { 9_000 };
        let size = usize::try_from(self.dice.below(bound)).unwrap_or(0);
        self.dice.bytes(size)
    }

    fn create(&mut self) -> Result<(), String> {
        let (name, content) = (self.fresh_name("file"), self.content());
        let path = self.root.join(&name);
        self.note(format!("create {}", name.display()));
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(named(&path))?;
        file.write_all(&content).map_err(named(&path))?;
        if self.dice.below(2) == 0 {
            file.sync_all().map_err(named(&path))?;
        }
        drop(file);
        self.tree.add(name, Object { kind: Kind::File(content), mode: None, mtime_seconds: None });
        Ok(())
    }

    fn make_directory(&mut self) -> Result<(), String> {
        let name = self.fresh_name("directory");
        if name.components().count() > 6 {
            return Ok(());
        }
        let path = self.root.join(&name);
        self.note(format!("mkdir {}", name.display()));
        fs::create_dir(&path).map_err(named(&path))?;
        self.tree.add(name, Object { kind: Kind::Directory, mode: Some(0o755), mtime_seconds: None });
        Ok(())
    }

    fn make_symlink(&mut self) -> Result<(), String> {
        let name = self.fresh_name("symlink");
        let (path, target) = (self.root.join(&name), PathBuf::from(format!("to/where/{}", self.fresh)));
        self.note(format!("symlink {}", name.display()));
        symlink(&target, &path).map_err(named(&path))?;
        self.tree.add(name, Object { kind: Kind::Symlink(target), mode: None, mtime_seconds: None });
        Ok(())
    }

    fn link(&mut self) -> Result<(), String> {
        let Some(old) = self.pick(is_file) else { return Ok(()) };
        let name = self.fresh_name("link");
        let path = self.root.join(&name);
        self.note(format!("link {} to {}", old.display(), name.display()));
        fs::hard_link(self.root.join(&old), &path).map_err(named(&path))?;
        if let Some(id) = self.tree.names.get(&old).copied() {
            self.tree.names.insert(name, id);
        }
        Ok(())
    }

    fn rename(&mut self) -> Result<(), String> {
        let Some(from) = self.pick(|kind| *kind != Kind::Directory) else { return Ok(()) };
        let over = self.dice.below(4) == 0;
        let to = match self.pick(|kind| *kind != Kind::Directory) {
            // POSIX: a rename of one object's name over another name of it does nothing, and says it did.
            Some(other) if over && self.tree.names.get(&other) != self.tree.names.get(&from) => other,
            _ => self.fresh_name("renamed"),
        };
        self.note(format!("rename {} to {}", from.display(), to.display()));
        fs::rename(self.root.join(&from), self.root.join(&to)).map_err(named(&self.root.join(&from)))?;
        self.tree.rename(&from, &to);
        Ok(())
    }

    fn rename_directory(&mut self) -> Result<(), String> {
        let Some(from) = self.pick(|kind| *kind == Kind::Directory) else { return Ok(()) };
        let to = self.fresh_name("moved");
        if to.starts_with(&from) || to.components().count() > 4 {
            return Ok(());
        }
        self.note(format!("rename {} to {}", from.display(), to.display()));
        fs::rename(self.root.join(&from), self.root.join(&to)).map_err(named(&self.root.join(&from)))?;
        self.tree.rename(&from, &to);
        Ok(())
    }

    fn change_mode(&mut self) -> Result<(), String> {
        let Some(name) = self.pick(|kind| !matches!(kind, Kind::Symlink(_))) else { return Ok(()) };
        let mode = 0o700 | u32::try_from(self.dice.below(0o100)).unwrap_or(0);
        let path = self.root.join(&name);
        self.note(format!("chmod {mode:o} {}", name.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(named(&path))?;
        self.named(&name)?.mode = Some(mode);
        Ok(())
    }

    fn change_time(&mut self) -> Result<(), String> {
        let Some(name) = self.pick(is_file) else { return Ok(()) };
        let seconds = 1_000_000_000 + self.dice.below(500_000_000);
        let path = self.root.join(&name);
        self.note(format!("mtime {seconds} {}", name.display()));
        let file = OpenOptions::new().write(true).open(&path).map_err(named(&path))?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).map_err(named(&path))?;
        self.named(&name)?.mtime_seconds = i64::try_from(seconds).ok();
        Ok(())
    }

    fn change_size(&mut self) -> Result<(), String> {
        let Some(name) = self.pick(is_file) else { return Ok(()) };
        let size = usize::try_from(self.dice.below(20_000)).unwrap_or(0);
        let path = self.root.join(&name);
        self.note(format!("truncate to {size} {}", name.display()));
        let file = OpenOptions::new().write(true).open(&path).map_err(named(&path))?;
        file.set_len(size as u64).map_err(named(&path))?;
        self.change_content(&name, |content| content.resize(size, 0))
    }

    fn open_one(&mut self) -> Result<(), String> {
        if self.open.len() == OPEN_MAX {
            let nth = usize::try_from(self.dice.below(OPEN_MAX as u64)).unwrap_or(0);
            self.note("close".to_owned());
            drop(self.open.swap_remove(nth));
        }
        let Some(name) = self.pick(is_file) else { return Ok(()) };
        let path = self.root.join(&name);
        self.note(format!("open {}", name.display()));
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(named(&path))?;
        if let Some(id) = self.tree.names.get(&name).copied() {
            self.open.push((file, id));
        }
        Ok(())
    }

    fn write_open(&mut self) -> Result<(), String> {
        let piece = self.content();
        let nth = usize::try_from(self.dice.below(OPEN_MAX as u64)).unwrap_or(0);
        let Some((file, id)) = self.open.get(nth) else { return Ok(()) };
        let object = self.tree.object(*id)?;
        let Kind::File(content) = &mut object.kind else { return Ok(()) };
        let place = usize::try_from(self.dice.below(content.len() as u64 + 1)).unwrap_or(0);
        file.write_all_at(&piece, place as u64).map_err(|error| format!("a write to an open file: {error}"))?;
        file.sync_all().map_err(|error| format!("a sync of an open file: {error}"))?;
        let end = place + piece.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        if let Some(range) = content.get_mut(place..end) {
            range.copy_from_slice(&piece);
        }
        object.mtime_seconds = None;
        self.note(format!("write {} bytes at {place} of open file {nth}", piece.len()));
        Ok(())
    }

    fn remove(&mut self) -> Result<(), String> {
        let Some(name) = self.pick(|_| true) else { return Ok(()) };
        let path = self.root.join(&name);
        let directory = self.named(&name)?.kind == Kind::Directory;
        self.note(format!("remove {}", name.display()));
        if !directory {
            fs::remove_file(&path).map_err(named(&path))?;
        } else if self.holds_nothing(&name) && self.open.is_empty() {
            remove_directory(&path).map_err(named(&path))?;
        } else {
            return Ok(());
        }
        self.tree.names.remove(&name);
        Ok(())
    }

    fn holds_nothing(&self, directory: &Path) -> bool {
        !self.tree.names.keys().any(|name| name.parent() == Some(directory))
    }

    fn named(&mut self, name: &Path) -> Result<&mut Object, String> {
        let id = self.tree.names.get(name).copied().ok_or("the recorder lost a name of its own")?;
        self.tree.object(id)
    }

    fn change_content(&mut self, name: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<(), String> {
        let object = self.named(name)?;
        object.mtime_seconds = None;
        if let Kind::File(content) = &mut object.kind {
            change(content);
        }
        Ok(())
    }
}

fn is_file(kind: &Kind) -> bool {
    matches!(kind, Kind::File(_))
}

/// Removes a directory. The client may still be removing, in the background, what it had renamed to `.nfs..` when an open
/// file lost its name; that is waited for, and nothing else.
fn remove_directory(path: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && tries < 100 => {
                let mut names = fs::read_dir(path)?.flatten().map(|entry| entry.file_name());
                if names.any(|name| !name.to_string_lossy().starts_with(".nfs")) {
                    return Err(error);
                }
                tries += 1;
                thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked(seed: u64) -> (tempfile::TempDir, Worker) {
        let place = tempfile::tempdir().unwrap();
        let mut worker = Worker::new(place.path().join("work"), seed).unwrap();
        for _ in 0..600 {
            worker.step().unwrap();
        }
        (place, worker)
    }

    /// The recorder finds nothing where nothing was lost.
    #[test]
    fn a_sound_file_system_compares_equal() {
        for seed in 1..6 {
            let (_place, mut worker) = worked(seed);
            worker.compare().unwrap();
        }
    }

    /// The recorder finds a name that went away.
    #[test]
    fn a_lost_name_is_found() {
        let (_place, mut worker) = worked(7);
        let name = worker.pick(is_file).unwrap();
        fs::remove_file(worker.root.join(name)).unwrap();
        worker.compare().unwrap_err();
    }

    /// The recorder finds a byte that changed.
    #[test]
    fn a_changed_byte_is_found() {
        let (_place, mut worker) = worked(8);
        let name = worker.pick(|kind| matches!(kind, Kind::File(content) if !content.is_empty())).unwrap();
        let path = worker.root.join(name);
        let mut content = fs::read(&path).unwrap();
        content[0] ^= 1;
        fs::write(&path, content).unwrap();
        worker.compare().unwrap_err();
    }

    /// The recorder finds a removed name that came back, and a mode that was put back.
    #[test]
    fn what_was_undone_is_found() {
        let (_place, mut worker) = worked(9);
        fs::write(worker.root.join("file-000001"), b"").unwrap();
        assert!(worker.compare().is_err());
        let (_place, mut worker) = worked(10);
        worker.change_mode().unwrap();
        let moded = worker.tree.names.iter().find(|(_, id)| worker.tree.objects[**id].mode.is_some()).unwrap().0;
        fs::set_permissions(worker.root.join(moded), fs::Permissions::from_mode(0o6711)).unwrap();
        assert!(worker.compare().is_err());
    }
}
