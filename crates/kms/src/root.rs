//! The root provider: where the root key and the epoch secret come from. Level 0 of the key hierarchy.
//!
//! The root key stays for the life of an installation. The epoch secret is replaced whenever something must be
//! unreadable for ever: the keys of the next level are wrapped under both together, so an old copy of the data
//! directory needs an old epoch secret, and that no longer exists anywhere.
//!
//! The root key is kept once for each of its recipients ([`Recipient`]): in the clear for whoever can read the file,
//! or wrapped for a passphrase, an age identity or a PKCS#11 token. Any one of them opens it.

pub mod age_file;
mod root_file;
mod token;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crypto::Key;
use env::Env;
use parking_lot::RwLock;
use zeroize::Zeroizing;

use root_file::RootFile;
pub use root_file::{Holder, RECIPIENTS_MAX, Recipient, Secret};
pub use token::{TokenError, TokenUri};

/// What went wrong with the root key or the epoch secret. Each text names the file and the cure.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// There is no such file.
    #[error("{file}: not found; put the file back from your copy, or run `coffer init` for a new installation")]
    Missing {
        /// The file that is not there.
        file: String,
    },
    /// The file exists and must not be overwritten.
    #[error("{file}: exists already; `coffer init` never overwrites a key file, choose another path")]
    Exists {
        /// The file that is there.
        file: String,
    },
    /// The operating system refused.
    #[error("{file}: {cause}; check the path, its owner and its mode (0600)")]
    Io {
        /// The file that was asked for.
        file: String,
        /// What the system said.
        cause: io::Error,
    },
    /// Other users may read the file.
    #[error("{file}: mode {mode:04o} lets others read it; run `chmod 600 {file}`")]
    TooOpen {
        /// The file that is too open.
        file: String,
        /// Its mode bits.
        mode: u32,
    },
    /// The file does not hold what it should.
    #[error("{file}: not a Coffer {what} file or damaged; restore it from your copy")]
    Malformed {
        /// The damaged file.
        file: String,
        /// What it should have been.
        what: &'static str,
    },
    /// The file cannot be replaced: a read-only credential.
    #[error(
        "{file}: cannot be replaced ({cause}), so erasure is logical only; put the epoch secret on a writable path"
    )]
    ReadOnly {
        /// The file that should have been replaced.
        file: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The root key is there, but nothing at hand opens it now: a passphrase is awaited, a token is absent.
    #[error("{file}: sealed: {why}")]
    Sealed {
        /// The root key file.
        file: String,
        /// Of each recipient, why it does not open.
        why: String,
    },
    /// A recipient cannot be had, added or removed.
    #[error("{0}")]
    Recipient(String),
}

/// The part of level 0 that is replaced at an erasure, with the number that says which one it is.
pub struct EpochSecret {
    /// Counts up by one at each replacement.
    pub epoch: u64,
    /// The secret itself.
    pub secret: Key,
}

/// Everything a provider holds.
pub struct RootSecrets {
    /// The root key.
    pub root: Arc<Key>,
    /// The epoch secret in force.
    pub current: EpochSecret,
    /// A successor that was written and not yet put in force: a replacement was interrupted.
    pub staged: Option<EpochSecret>,
    /// There is a successor that cannot be read: torn while it was written, or damaged since. Whoever knows whether
    /// anything depends on it decides what becomes of it.
    pub staged_damaged: bool,
}

/// Where level 0 comes from. A replacement of the epoch secret is `stage`, then whatever must be durable first, then
/// `promote`; each call is durable on return.
pub trait RootProvider: Send + Sync {
    /// Reads everything.
    fn load(&self) -> Result<RootSecrets, RootError>;
    /// Writes the next epoch secret beside the one in force.
    fn stage(&self, next: &EpochSecret) -> Result<(), RootError>;
    /// Puts the staged secret in force and destroys the one before.
    fn promote(&self) -> Result<(), RootError>;
    /// Forgets a staged secret that nothing depends on yet.
    fn discard_staged(&self) -> Result<(), RootError>;
    /// Writes the next root key for these recipients beside the one in force.
    fn stage_root(&self, next: &Arc<Key>, recipients: &[Recipient], env: &Env) -> Result<(), RootError>;
    /// Puts in force whichever root key has this check value, and destroys the other: what a replacement ends with, and
    /// what the next start does where it was interrupted.
    fn settle_root(&self, wanted: &[u8; CHECK_BYTES]) -> Result<(), RootError>;
    /// What to call the place of the root key in a message.
    fn root_name(&self) -> String;
    /// What to call the place of the epoch secret in a message.
    fn epoch_name(&self) -> String;
    /// What to call the place of a staged epoch secret in a message.
    fn staged_name(&self) -> String {
        format!("{}.next", self.epoch_name())
    }
}

/// How long the check value of a root key is.
pub const CHECK_BYTES: usize = 8;
const EPOCH_MARK: &str = "coffer-epoch-secret-1";
/// A key file is two short lines; nothing longer is read.
const FILE_BYTES_MAX: u64 = 4096;
/// No secret's file is longer.
const OVERWRITE_BYTES_MAX: u64 = 256 * 1024;

/// What opens a root key without anybody being asked.
#[derive(Clone, Debug, Default)]
pub struct Openers {
    /// Identity files of age, as `age-keygen` writes them.
    pub identities: Vec<PathBuf>,
    /// A file with the PIN of the PKCS#11 token.
    pub pin_file: Option<PathBuf>,
}

impl Openers {
    /// The PIN given, or the one in the file.
    pub fn pin(&self, given: Option<&Secret>) -> Result<Secret, String> {
        if let Some(given) = given {
            return Ok(given.clone());
        }
        let file = self.pin_file.as_ref().ok_or("waits for its PIN: `coffer key unseal`, or root.pin_file")?;
        read_secret(file).map_err(|cause| cause.to_string())
    }
}

/// A passphrase or a PIN from a private file: its first line.
pub fn read_secret(file: &Path) -> Result<Secret, RootError> {
    let malformed = || RootError::Malformed { file: name(file), what: "passphrase or PIN" };
    let bytes = read_up_to(file, FILE_BYTES_MAX)?;
    let line = std::str::from_utf8(&bytes).ok().and_then(|text| text.lines().next()).ok_or_else(malformed)?;
    Ok(Zeroizing::new(line.to_owned()))
}

/// Tells a wrong root key from a damaged row; says nothing about the key itself.
pub(crate) fn check_value(root: &Key) -> [u8; CHECK_BYTES] {
    let check = root.derive("kms/root check", b"");
    let mut bytes = [0; CHECK_BYTES];
    for (to, from) in bytes.iter_mut().zip(check.expose()) {
        *to = *from;
    }
    bytes
}

/// A root key file and an epoch-secret file, both outside the data directory. The root key file may be a read-only
/// credential; the epoch secret is replaced at each erasure.
pub struct FileProvider {
    root_key: PathBuf,
    epoch_secret: PathBuf,
    openers: Openers,
    /// A root key that somebody was asked for, so that nobody is asked again. One in the clear is read anew each time.
    opened: RwLock<Option<Arc<Key>>>,
}

impl FileProvider {
    /// A provider over these two paths; nothing is read yet.
    pub fn new(root_key: impl Into<PathBuf>, epoch_secret: impl Into<PathBuf>) -> Self {
        let (root_key, epoch_secret) = (root_key.into(), epoch_secret.into());
        Self { root_key, epoch_secret, openers: Openers::default(), opened: RwLock::new(None) }
    }

    /// The same with what opens the root key without anybody being asked.
    #[must_use]
    pub fn with_openers(mut self, openers: Openers) -> Self {
        self.openers = openers;
        self
    }

    /// Makes both files with fresh secrets, mode 0600. Never overwrites.
    pub fn create(&self, env: &Env) -> Result<(), RootError> {
        self.create_for(&[Recipient::File], 1, env)
    }

    /// The same for these recipients, at this epoch.
    pub fn create_for(&self, recipients: &[Recipient], epoch: u64, env: &Env) -> Result<(), RootError> {
        for path in [&self.root_key, &self.epoch_secret] {
            if path.exists() {
                return Err(RootError::Exists { file: name(path) });
            }
        }
        for path in [&self.root_key, &self.epoch_secret] {
            if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
                fs::create_dir_all(directory).map_err(|cause| io_error(directory, cause))?;
            }
        }
        let root = Arc::new(Key::random(env));
        write_new(&self.root_key, &RootFile::new(&root, recipients, env)?.text())?;
        write_new(&self.epoch_secret, &epoch_text(&EpochSecret { epoch, secret: Key::random(env) }))?;
        *self.opened.write() = Some(root);
        Ok(())
    }

    /// Opens a sealed root key with a passphrase or a PIN, for the life of this provider.
    pub fn unseal(&self, given: &Secret) -> Result<(), RootError> {
        let root = RootFile::read(&self.root_key)?.open(&self.root_key, &self.openers, Some(given))?;
        *self.opened.write() = Some(root);
        Ok(())
    }

    /// The recipients of the root key, with their numbers.
    pub fn recipients(&self) -> Result<Vec<(u32, Holder)>, RootError> {
        let file = RootFile::read(&self.root_key)?;
        Ok(file.holders().map(|(number, holder)| (number, holder.clone())).collect())
    }

    /// Wraps the root key for one more recipient; gives its number.
    pub fn add_recipient(&self, recipient: &Recipient, env: &Env) -> Result<u32, RootError> {
        let root = self.root()?;
        let mut file = RootFile::read(&self.root_key)?;
        let number = file.add(&root, recipient, env)?;
        self.replace_root(&file)?;
        Ok(number)
    }

    /// Takes a recipient away; never the last one. Whoever kept an older copy of the file still opens that: only a new root
    /// key ends it.
    pub fn remove_recipient(&self, number: u32) -> Result<Holder, RootError> {
        let mut file = RootFile::read(&self.root_key)?;
        let holder = file.remove(number)?;
        self.replace_root(&file)?;
        Ok(holder)
    }

    /// The root key: from the clear, from memory, or by what opens it unasked.
    fn root(&self) -> Result<Arc<Key>, RootError> {
        let file = RootFile::read(&self.root_key)?;
        if let Some(opened) = self.opened.read().as_ref().filter(|opened| check_value(opened) == file.check) {
            return Ok(Arc::clone(opened));
        }
        let root = file.open(&self.root_key, &self.openers, None)?;
        if !file.holders().any(|(_, holder)| *holder == Holder::File) {
            *self.opened.write() = Some(Arc::clone(&root));
        }
        Ok(root)
    }

    /// The file that is there or the new one: never half of either.
    fn replace_root(&self, file: &RootFile) -> Result<(), RootError> {
        let new = beside(&self.root_key, ".new");
        remove_if_there(&new).map_err(|cause| replace_error(&self.root_key, cause))?;
        write_beside(&self.root_key, &new, &file.text())?;
        put_in_place(&new, &self.root_key)
    }

    fn staged_path(&self) -> PathBuf {
        beside(&self.epoch_secret, ".next")
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(suffix);
    path.into()
}

/// Overwrites and removes what stood at `path` before. What a crash or the mode leaves of it is tried again at the next
/// load, and said.
fn destroy_old(path: &Path) {
    let old = beside(path, ".old");
    let Ok(about) = fs::symlink_metadata(&old) else { return };
    // The replacement did not come to its rename: this is a second name of what is in force.
    let same = fs::metadata(path).is_ok_and(|current| (current.dev(), current.ino()) == (about.dev(), about.ino()));
    if !same && about.is_file() {
        overwrite(&old);
    }
    let removed = fs::remove_file(&old).map_err(|cause| io_error(&old, cause)).and_then(|()| sync_directory(&old));
    if let Err(cause) = removed {
        tracing::warn!(%cause, "a replaced secret could not be removed; remove that file");
    }
}

/// Renames `new` to `path` and destroys what was there.
fn put_in_place(new: &Path, path: &Path) -> Result<(), RootError> {
    // A second name keeps the old secret's blocks within reach, whenever a crash comes.
    destroy_old(path);
    if let Err(cause) = fs::hard_link(path, beside(path, ".old")) {
        tracing::warn!(%cause, file = name(path), "the replaced secret cannot be overwritten");
    }
    fs::rename(new, path).map_err(|cause| replace_error(path, cause))?;
    sync_directory(path)?;
    destroy_old(path);
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a successor of `path`; where it may not be written, `path` cannot be replaced.
fn write_beside(path: &Path, new: &Path, text: &Zeroizing<String>) -> Result<(), RootError> {
    write_new(new, text).map_err(|error| match error {
        RootError::Io { cause, .. } => replace_error(path, cause),
        other => other,
    })
}

impl RootProvider for FileProvider {
    fn load(&self) -> Result<RootSecrets, RootError> {
        let root = self.root()?;
        let current = parse_epoch(&self.epoch_secret)?;
        destroy_old(&self.root_key);
        destroy_old(&self.epoch_secret);
        let (staged, staged_damaged) = match parse_epoch(&self.staged_path()) {
            Ok(staged) => (Some(staged), false),
            Err(RootError::Missing { .. }) => (None, false),
            Err(RootError::Malformed { .. }) => (None, true),
            Err(other) => return Err(other),
        };
        Ok(RootSecrets { root, current, staged, staged_damaged })
    }

    fn stage(&self, next: &EpochSecret) -> Result<(), RootError> {
        let path = self.staged_path();
        remove_if_there(&path).map_err(|cause| replace_error(&self.epoch_secret, cause))?;
        write_beside(&self.epoch_secret, &path, &epoch_text(next))
    }

    fn promote(&self) -> Result<(), RootError> {
        put_in_place(&self.staged_path(), &self.epoch_secret)
    }

    fn discard_staged(&self) -> Result<(), RootError> {
        let path = self.staged_path();
        match fs::remove_file(&path) {
            Ok(()) => sync_directory(&path),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(io_error(&path, cause)),
        }
    }

    fn stage_root(&self, next: &Arc<Key>, recipients: &[Recipient], env: &Env) -> Result<(), RootError> {
        let path = beside(&self.root_key, ".next");
        let file = RootFile::new(next, recipients, env)?;
        remove_if_there(&path).map_err(|cause| replace_error(&self.root_key, cause))?;
        write_beside(&self.root_key, &path, &file.text())
    }

    fn settle_root(&self, wanted: &[u8; CHECK_BYTES]) -> Result<(), RootError> {
        let next = beside(&self.root_key, ".next");
        if !next.exists() {
            return Ok(());
        }
        if RootFile::read(&self.root_key)?.check == *wanted {
            // The replacement did not come to the rows of the key ring: nothing depends on the successor.
            overwrite(&next);
            fs::remove_file(&next).map_err(|cause| io_error(&next, cause))?;
            return sync_directory(&next);
        }
        // Any other successor is left for whoever looks after the wrong root key.
        if RootFile::read(&next)?.check == *wanted { put_in_place(&next, &self.root_key) } else { Ok(()) }
    }

    fn root_name(&self) -> String {
        name(&self.root_key)
    }

    fn epoch_name(&self) -> String {
        name(&self.epoch_secret)
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn io_error(path: &Path, cause: io::Error) -> RootError {
    if cause.kind() == io::ErrorKind::NotFound {
        RootError::Missing { file: name(path) }
    } else {
        RootError::Io { file: name(path), cause }
    }
}

fn replace_error(path: &Path, cause: io::Error) -> RootError {
    match cause.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            RootError::ReadOnly { file: name(path), cause }
        }
        _ => io_error(path, cause),
    }
}

fn epoch_text(secret: &EpochSecret) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str("# Coffer epoch secret. Replaced at each erasure: an older copy opens nothing.\n");
    text.push_str(EPOCH_MARK);
    // Writing to a string cannot fail.
    let _ = write!(text, " {} ", secret.epoch);
    push_hex(&mut text, secret.secret.expose());
    text.push('\n');
    text
}

fn push_hex(text: &mut String, bytes: &[u8; 32]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
}

fn parse_epoch(path: &Path) -> Result<EpochSecret, RootError> {
    let malformed = || RootError::Malformed { file: name(path), what: "epoch secret" };
    let text = read(path)?;
    let text = std::str::from_utf8(&text).map_err(|_| malformed())?;
    let mut words = text.lines().find(|line| !line.starts_with('#')).ok_or_else(malformed)?.split_ascii_whitespace();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(EPOCH_MARK), Some(epoch), Some(hex), None) => Ok(EpochSecret {
            epoch: epoch.parse().map_err(|_| malformed())?,
            secret: parse_key(hex).ok_or_else(malformed)?,
        }),
        _ => Err(malformed()),
    }
}

fn parse_key(text: &str) -> Option<Key> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    hex::decode_to_slice(text, bytes.as_mut_slice()).ok()?;
    Key::take(bytes.as_mut_slice()).ok()
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, RootError> {
    read_up_to(path, FILE_BYTES_MAX)
}

fn read_up_to(path: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, RootError> {
    let file = open_private(path)?;
    let length = file.metadata().map_or(0, |about| about.len()).min(bytes_max);
    // Room enough, so that nothing of it is left behind where it grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 64));
    file.take(bytes_max).read_to_end(&mut bytes).map_err(|cause| io_error(path, cause))?;
    Ok(bytes)
}

/// Opens a file that its owner alone may read.
fn open_private(path: &Path) -> Result<File, RootError> {
    let file = File::open(path).map_err(|cause| io_error(path, cause))?;
    let mode = file.metadata().map_err(|cause| io_error(path, cause))?.mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(file) } else { Err(RootError::TooOpen { file: name(path), mode }) }
}

fn write_new(path: &Path, text: &Zeroizing<String>) -> Result<(), RootError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|cause| {
        if cause.kind() == io::ErrorKind::AlreadyExists {
            RootError::Exists { file: name(path) }
        } else {
            io_error(path, cause)
        }
    })?;
    file.write_all(text.as_bytes()).map_err(|cause| io_error(path, cause))?;
    file.sync_all().map_err(|cause| io_error(path, cause))?;
    sync_directory(path)
}

fn sync_directory(path: &Path) -> Result<(), RootError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(directory).and_then(|open| open.sync_all()).map_err(|cause| io_error(directory, cause))
}

/// The replaced secret's blocks are overwritten where the medium allows it. Best effort: a copy-on-write file system
/// or a flash translation layer may keep the old block, which is why the threat model names the medium.
fn overwrite(path: &Path) {
    let write = || -> io::Result<()> {
        // Its owner may have made it read-only.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let mut old = OpenOptions::new().write(true).open(path)?;
        let length = usize::try_from(old.metadata()?.len().min(OVERWRITE_BYTES_MAX)).unwrap_or(0);
        old.write_all(&vec![0_u8; length])?;
        old.sync_all()
    };
    if let Err(cause) = write() {
        tracing::warn!(
            %cause,
            file = name(path),
            "the replaced epoch secret could not be overwritten; its file is unlinked all the same"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(directory: &Path) -> FileProvider {
        FileProvider::new(directory.join("keys/root.key"), directory.join("keys/epoch.secret"))
    }

    /// Architecture section 5, level 0: init makes both files, private, and never overwrites them.
    #[test]
    fn created_files_are_private_and_are_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let (env, _simulation) = Env::simulated(1);
        let files = provider(directory.path());
        files.create(&env).unwrap();
        assert_eq!(fs::metadata(&files.root_key).unwrap().permissions().mode() & 0o777, 0o600);
        let first = fs::read(&files.root_key).unwrap();
        assert!(matches!(files.create(&env), Err(RootError::Exists { .. })));
        assert_eq!(fs::read(&files.root_key).unwrap(), first);
        let loaded = files.load().unwrap();
        assert_eq!(loaded.current.epoch, 1);
        assert!(loaded.staged.is_none());
    }

    /// Architecture section 5, "Erasure": the epoch secret is replaced by write-new, sync and rename.
    #[test]
    fn a_staged_secret_is_seen_until_it_is_promoted() {
        let directory = tempfile::tempdir().unwrap();
        let (env, _simulation) = Env::simulated(2);
        let files = provider(directory.path());
        files.create(&env).unwrap();
        let next = EpochSecret { epoch: 2, secret: Key::random(&env) };
        files.stage(&next).unwrap();
        let between = files.load().unwrap();
        assert_eq!((between.current.epoch, between.staged.map(|staged| staged.epoch)), (1, Some(2)));
        files.promote().unwrap();
        let after = files.load().unwrap();
        assert_eq!(after.current.epoch, 2);
        assert_eq!(after.current.secret.expose(), next.secret.expose());
        assert!(after.staged.is_none());
    }

    /// Bad input, key files: each error names the file and the cure.
    #[test]
    fn every_error_names_the_file_and_the_cure() {
        let directory = tempfile::tempdir().unwrap();
        let (env, _simulation) = Env::simulated(3);
        let files = provider(directory.path());
        let missing = files.load().err().unwrap().to_string();
        assert!(missing.contains("root.key") && missing.contains("coffer init"), "{missing}");
        files.create(&env).unwrap();
        fs::set_permissions(&files.root_key, fs::Permissions::from_mode(0o644)).unwrap();
        let open = files.load().err().unwrap().to_string();
        assert!(open.contains("root.key") && open.contains("chmod 600"), "{open}");
        fs::set_permissions(&files.root_key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&files.epoch_secret, "nonsense").unwrap();
        let damaged = files.load().err().unwrap().to_string();
        assert!(damaged.contains("epoch.secret") && damaged.contains("restore"), "{damaged}");
    }

    /// Architecture section 5, "Erasure": a successor that cannot be read is told of and left to whoever knows whether
    /// anything depends on it.
    #[test]
    fn a_torn_successor_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let (env, _simulation) = Env::simulated(4);
        let files = provider(directory.path());
        files.create(&env).unwrap();
        write_new(&files.staged_path(), &Zeroizing::new("coffer-epoch-sec".to_owned())).unwrap();
        let loaded = files.load().unwrap();
        assert!(loaded.staged.is_none() && loaded.staged_damaged);
        assert!(files.staged_path().exists());
    }

    /// docs/threat-model.md: the replaced secret's file is overwritten, also if it was read-only, and also by the start
    /// after a crash in between.
    #[test]
    fn the_old_secret_is_overwritten_after_a_crash_too() {
        let directory = tempfile::tempdir().unwrap();
        let (env, _simulation) = Env::simulated(5);
        let files = provider(directory.path());
        files.create(&env).unwrap();
        let witness = directory.path().join("witness");
        let replace = |epoch| files.stage(&EpochSecret { epoch, secret: Key::random(&env) }).unwrap();
        let is_wiped = |path: &Path| fs::read(path).unwrap().iter().all(|byte| *byte == 0);
        let old = beside(&files.epoch_secret, ".old");

        // The mode of a careful owner.
        fs::set_permissions(&files.epoch_secret, fs::Permissions::from_mode(0o400)).unwrap();
        fs::hard_link(&files.epoch_secret, &witness).unwrap();
        replace(2);
        files.promote().unwrap();
        assert!(is_wiped(&witness) && !old.exists());

        // A crash after the rename.
        fs::remove_file(&witness).unwrap();
        fs::hard_link(&files.epoch_secret, &witness).unwrap();
        fs::hard_link(&files.epoch_secret, &old).unwrap();
        replace(3);
        fs::rename(files.staged_path(), &files.epoch_secret).unwrap();
        assert_eq!(files.load().unwrap().current.epoch, 3);
        assert!(is_wiped(&witness) && !old.exists());

        // A crash before it: the second name is of the secret in force.
        fs::hard_link(&files.epoch_secret, &old).unwrap();
        assert_eq!(files.load().unwrap().current.epoch, 3);
        assert_eq!(files.load().unwrap().current.epoch, 3);
        assert!(!old.exists());
    }
}
