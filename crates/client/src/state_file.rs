//! State files: what the watchdog must know of one tunnel (aws/efs-utils, state files). JSON, one file per mount,
//! replaced whole.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// File names end at 255 bytes, and ours carry up to 20 more around the mount point.
const MOUNT_POINT_BYTES_MAX: usize = 160;

/// One tunnel. The members are efs-utils'; members we do not know are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The tunnel's process, -1 while it has none.
    pub pid: i32,
    /// How to start it again.
    pub cmd: Vec<String>,
    /// Files that go with it.
    pub files: Vec<String>,
    /// When it was mounted, in seconds since 1970.
    pub mount_time: f64,
    /// Where.
    pub mountpoint: String,
    /// Always `elasticfilesystem`.
    pub service_type: String,
    /// The directory of this mount's own files.
    #[serde(rename = "mountStateDir", default)]
    pub mount_state_dir: String,
    /// The certificate's name.
    #[serde(rename = "commonName", default)]
    pub common_name: String,
    /// The region.
    #[serde(default)]
    pub region: String,
    /// The file system.
    #[serde(rename = "fsId", default)]
    pub fs_id: String,
    /// Where the tunnel leaves a copy of its current certificate. The key never leaves its memory.
    #[serde(default)]
    pub certificate: String,
    /// When the certificate of the mount was made, `yymmddHHMMSSZ`. The tunnel renews it in memory and says so nowhere.
    #[serde(rename = "certificateCreationTime", default)]
    pub certificate_creation_time: String,
    /// Empty: efs-utils keeps the name of a key file here, and there is none.
    #[serde(rename = "privateKey", default)]
    pub private_key: String,
    /// The access point, if any.
    #[serde(rename = "accessPoint", default, skip_serializing_if = "Option::is_none")]
    pub access_point: Option<String>,
    /// Consecutive looks that missed the mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmount_count: Option<u32>,
    /// When the mount was found to be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmount_time: Option<f64>,
    /// What other versions wrote.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// Makes a directory for state, with the configured mode, and its parents.
///
/// # Errors
/// The system's.
pub fn make_directory(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// The name of one mount's files: `FS.MOUNT.POINT.PORT`.
#[must_use]
pub fn name(file_system: &str, mount_point: &str, port: u16) -> String {
    let dotted = mount_point.replace('/', ".");
    let mut dotted = dotted.trim_start_matches('.');
    // The port makes the name unique, so the middle may be cut.
    while dotted.len() > MOUNT_POINT_BYTES_MAX {
        let mut characters = dotted.chars();
        let _ = characters.next_back();
        dotted = characters.as_str();
    }
    format!("{file_system}.{dotted}.{port}")
}

/// The places of one mount's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFiles {
    directory: PathBuf,
    name: String,
}

impl StateFiles {
    /// The files called `name` in `directory`.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self { directory: directory.into(), name: name.into() }
    }

    /// The name that the files share.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port at the end of the name.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.name.rsplit('.').next()?.parse().ok()
    }

    /// The state file while the mount is on its way.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.directory.join(format!("~{}", self.name))
    }

    /// The state file of a mount.
    #[must_use]
    pub fn settled(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// The tunnel's settings; the name is efs-utils'.
    #[must_use]
    pub fn tunnel_settings(&self) -> PathBuf {
        self.directory.join(format!("stunnel-config.{}", self.name))
    }

    /// The mount's own directory.
    #[must_use]
    pub fn own_directory(&self) -> PathBuf {
        self.directory.join(format!("{}+", self.name))
    }

    /// Says that this process is at work on the mount, for as long as the value lives or until the process ends. The
    /// own directory must exist; the lock is on it because the state file itself is replaced again and again.
    ///
    /// # Errors
    /// The system's.
    pub fn hold(&self) -> std::io::Result<fs::File> {
        let directory = fs::File::open(self.own_directory())?;
        directory.lock()?;
        Ok(directory)
    }

    /// Whether a process is at work on the mount.
    fn is_held(&self) -> bool {
        let Ok(directory) = fs::File::open(self.own_directory()) else { return false };
        matches!(directory.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
    }

    /// Writes the state beside its place and moves it there: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, place: &Path, state: &State) -> std::io::Result<()> {
        let draft = self.directory.join(format!(".{}.new", self.name));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&draft)?;
        file.write_all(&serde_json::to_vec(state)?)?;
        fs::rename(draft, place)
    }

    /// The mount is done: `~NAME` becomes `NAME`.
    ///
    /// # Errors
    /// The system's.
    pub fn settle(&self) -> std::io::Result<()> {
        fs::rename(self.temporary(), self.settled())
    }

    /// Removes every file of this mount; the state file goes last, since it is what leads here.
    pub fn remove(&self) {
        drop(fs::remove_dir_all(self.own_directory()));
        drop(fs::remove_file(self.tunnel_settings()));
        drop(fs::remove_file(self.temporary()));
        drop(fs::remove_file(self.settled()));
    }
}

/// How far a mount has come, as the name of its state file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// `mount.efs` is at work on it.
    OnItsWay,
    /// `mount.efs` has ended without a word on how it went.
    Abandoned,
    /// It was mounted.
    Settled,
}

/// A state file that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its places.
    pub files: StateFiles,
    /// How far its mount has come.
    pub progress: Progress,
    /// What it says.
    pub state: State,
}

/// All state files of the directory; unreadable ones are named in the second part. A look at the mount table afterwards
/// fits to them: a mount that is called abandoned or settled has no more to do with its `mount.efs`.
#[must_use]
pub fn find(directory: &Path) -> (Vec<Found>, Vec<String>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        let (name, temporary) = match file_name.strip_prefix('~') {
            Some(name) => (name, true),
            None => (file_name.as_str(), false),
        };
        if !name.starts_with("fs-") || name.ends_with('+') {
            continue;
        }
        let files = StateFiles::new(directory, name);
        // First of all: without its mount.efs a file changes no more, so that what is read below is its last word.
        let progress = match temporary {
            true if files.is_held() => Progress::OnItsWay,
            true => Progress::Abandoned,
            false => Progress::Settled,
        };
        let read = match fs::read(entry.path()) {
            // It was settled or removed since the directory was read; the next look sees what became of it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.map_err(|error| error.to_string()),
        };
        let state = read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
        match state {
            Ok(state) => found.push(Found { files, progress, state }),
            Err(error) => unreadable.push(format!("{file_name}: {error}")),
        }
    }
    (found, unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::state;

    /// aws/efs-utils, state files: the name: slashes become dots, leading dots go.
    #[test]
    fn names_are_those_of_efs_utils() {
        assert_eq!(name("fs-1", "/mnt/efs", 20100), "fs-1.mnt.efs.20100");
        let long = name("fs-0123456789abcdef0", &"/ä".repeat(300), 20100);
        assert!(long.len() < 230 && long.ends_with(".20100"), "{long}");
        assert_eq!(StateFiles::new("/x", long).port(), Some(20100));
    }

    /// aws/efs-utils, state files: temporary with `~` until the mount is done, then renamed; the watchdog's members
    /// stay away until they mean something, and members of other versions survive.
    #[test]
    fn a_state_file_settles_and_keeps_what_it_does_not_know() {
        let directory = tempfile::tempdir().unwrap();
        let files = StateFiles::new(directory.path(), "fs-1.mnt.efs.20100");
        let mut state = state();
        let _ = state.other.insert("last_stunnel_check_time".into(), 7.into());
        files.write(&files.temporary(), &state).unwrap();
        let (found, unreadable) = find(directory.path());
        assert!(found[0].progress == Progress::Abandoned && unreadable.is_empty());
        files.settle().unwrap();
        make_directory(&files.own_directory(), 0o750).unwrap();
        let (found, _) = find(directory.path());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].progress, Progress::Settled);
        assert_eq!(found[0].state, state);
        let text = fs::read_to_string(files.settled()).unwrap();
        assert!(!text.contains("unmount") && text.contains("\"mountStateDir\""), "{text}");
        files.remove();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    /// aws/efs-utils#69, aws/efs-utils#61: a mount on its way is known by the lock of its mount.efs and not by a process number, so
    /// that neither a number that is used again nor a mount that ends between two looks is taken for something else.
    #[test]
    fn a_mount_on_its_way_is_known_by_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        let files = StateFiles::new(directory.path(), "fs-1.mnt.efs.20100");
        make_directory(&files.own_directory(), 0o750).unwrap();
        let hold = files.hold().unwrap();
        files.write(&files.temporary(), &state()).unwrap();
        let progress = || find(directory.path()).0.first().map(|found| found.progress);
        assert_eq!(progress(), Some(Progress::OnItsWay));
        files.write(&files.temporary(), &state()).unwrap();
        assert_eq!(progress(), Some(Progress::OnItsWay));
        drop(hold);
        assert_eq!(progress(), Some(Progress::Abandoned));
        files.settle().unwrap();
        assert_eq!(progress(), Some(Progress::Settled));
    }

    /// Architecture section 7: a damaged state file is named and does not hide the others.
    #[test]
    fn damaged_state_files_are_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("fs-2.mnt.20101"), "{").unwrap();
        let (found, unreadable) = find(directory.path());
        assert!(found.is_empty() && unreadable[0].starts_with("fs-2.mnt.20101: "), "{unreadable:?}");
    }
}
