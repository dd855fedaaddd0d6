//! A shard's directory: its `FORMAT` file, its lock, and where the rest lies (docs/on-disk-format.md, "A shard's
//! directory").

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crypto::{Key, Prf};
use env::Env;

use super::floor::FloorFile;
use crate::StorageError;

/// The version of everything below a shard's directory.
const VERSION: u32 = 1;
const FORMAT: &str = "FORMAT";
const LOCK: &str = "LOCK";
const FLOOR: &str = "floor";
pub(crate) const ENGINE: &str = "engine";
const SEGMENTS: &str = "segments";

/// How long an opening waits for an owner that is just going.
const LOCK_TRIES: u32 = 60;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

const CURE: &str = "restore the shard's directory from a backup";

/// A directory locked for this process, until dropped.
pub struct DirectoryLock(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

impl DirectoryLock {
    /// Locks the file `LOCK` in `dir` against every other process and every other opening in this one.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if another holds it; the system's.
    pub fn acquire(dir: &Path) -> Result<Self, StorageError> {
        Self::try_acquire(dir, 1)
    }

    fn try_acquire(dir: &Path, tries: u32) -> Result<Self, StorageError> {
        let path = dir.join(LOCK);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = options.map_err(|error| StorageError::io(&path, &error))?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if attempt < tries => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(error)) => return Err(StorageError::io(&path, &error)),
            }
        }
        Err(StorageError::Locked { path: path.display().to_string() })
    }
}

/// A shard's directory, locked and of the right version.
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) id: [u8; 16],
    pub(crate) chain: Prf,
    pub(crate) floor: FloorFile,
    pub(crate) lock: DirectoryLock,
    /// The text of `FORMAT`, as long as the shard is being made.
    unfinished: Option<String>,
}

impl Directory {
    pub(crate) fn engine(&self) -> PathBuf {
        self.path.join(ENGINE)
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.path.join(SEGMENTS)
    }

    /// Whether the shard is being made.
    pub(crate) fn is_new(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Writes `FORMAT`, if the shard is being made: from now on it is one. Everything else has to be durable.
    pub(crate) fn finish(&mut self) -> Result<(), StorageError> {
        let Some(format) = self.unfinished.take() else { return Ok(()) };
        // The names that are there now before the one that makes them a shard. fjall syncs what it has in each keyspace's
        // directory and not the names of these directories.
        for dir in [self.engine().join("keyspaces"), self.engine(), self.path.clone()] {
            sync_directory(&dir)?;
        }
        write_durably(&self.path, FORMAT, format.as_bytes())?;
        sync_directory(parent_of(&self.path))
    }
}

pub(crate) fn exists(dir: &Path) -> bool {
    dir.join(FORMAT).exists()
}

/// Makes a new directory, all but `FORMAT`: that is for [`Directory::finish`], when the database is there too, so that
/// an interrupted creation is none and may be repeated.
pub(crate) fn create(dir: &Path, env: &Env) -> Result<Directory, StorageError> {
    let error = |error: std::io::Error| StorageError::io(dir, &error);
    make_directory(dir)?;
    let lock = DirectoryLock::acquire(dir)?;
    for entry in fs::read_dir(dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        let left_over = match entry.file_name().to_str() {
            Some(LOCK) => Ok(()),
            Some(ENGINE | SEGMENTS) if !exists(dir) => fs::remove_dir_all(entry.path()),
            Some(FLOOR | "FORMAT.new") if !exists(dir) => fs::remove_file(entry.path()),
            _ => return Err(StorageError::Exists { path: entry.path().display().to_string() }),
        };
        left_over.map_err(error)?;
    }
    let id: [u8; 16] = env.random();
    let mut chain_key: [u8; 32] = env.random();
    let format = format_text(&id, &chain_key);
    let chain = chain_of(&mut chain_key);

    DirBuilder::new().mode(0o700).create(dir.join(SEGMENTS)).map_err(error)?;
    FloorFile::create(&dir.join(FLOOR), &chain)?;
    sync_directory(dir)?;
    let floor = FloorFile::open(&dir.join(FLOOR), &chain)?;
    Ok(Directory { path: dir.to_owned(), id, chain, floor, lock, unfinished: Some(format) })
}

/// Locks and reads an existing directory.
pub(crate) fn open(dir: &Path) -> Result<Directory, StorageError> {
    let path = dir.join(FORMAT);
    let missing = || StorageError::Missing { path: dir.display().to_string() };
    if !dir.is_dir() {
        return Err(missing());
    }
    let lock = DirectoryLock::try_acquire(dir, LOCK_TRIES)?;
    let text = fs::read(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing(),
        _ => StorageError::io(&path, &error),
    })?;
    let (id, mut chain_key) = read_format(&path, &text)?;
    let chain = chain_of(&mut chain_key);
    let floor = FloorFile::open(&dir.join(FLOOR), &chain)?;
    Ok(Directory { path: dir.to_owned(), id, chain, floor, lock, unfinished: None })
}

/// The keyed hash of the history. Its key lies beside the data: it tells shards apart and finds damage, and is no
/// secret.
fn chain_of(key: &mut [u8; 32]) -> Prf {
    Prf::new(Key::take_array(key))
}

fn format_text(id: &[u8; 16], chain: &[u8; 32]) -> String {
    let body = format!("coffer shard\nversion {VERSION}\nid {}\nchain {}\n", hex(id), hex(chain));
    let check = chain_of(&mut chain.clone()).mac16(body.as_bytes());
    format!("{body}check {}\n", hex(&check))
}

fn read_format(path: &Path, text: &[u8]) -> Result<([u8; 16], [u8; 32]), StorageError> {
    let damaged = || StorageError::damaged(path, "the file is damaged or not of Coffer", CURE);
    let text = str::from_utf8(text).map_err(|_| damaged())?;
    let rest = text.strip_prefix("coffer shard\nversion ").ok_or_else(damaged)?;
    let (version, rest) = rest.split_once('\n').ok_or_else(damaged)?;
    let version: u32 = version.parse().map_err(|_| damaged())?;
    if version != VERSION {
        // A later version may look different from here on, so this comes before the check.
        return Err(StorageError::Version { path: path.display().to_string(), found: version, expected: VERSION });
    }
    let mut lines = rest.lines();
    let id = lines.next().and_then(|line| line.strip_prefix("id ")).and_then(unhex::<16>).ok_or_else(damaged)?;
    let chain = lines.next().and_then(|line| line.strip_prefix("chain ")).and_then(unhex::<32>).ok_or_else(damaged)?;
    if format_text(&id, &chain) != text {
        return Err(damaged());
    }
    Ok((id, chain))
}

/// Writes a small file so that after a crash it is whole or not there.
fn write_durably(dir: &Path, name: &str, content: &[u8]) -> Result<(), StorageError> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
    let written = written.and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.and_then(|()| fs::rename(&new, &path)).map_err(|error| StorageError::io(&path, &error))?;
    sync_directory(dir)
}

/// Makes a directory and whatever it lies in, unless they are there, each with a durable name.
fn make_directory(dir: &Path) -> Result<(), StorageError> {
    if dir.is_dir() {
        return Ok(());
    }
    make_directory(parent_of(dir))?;
    match DirBuilder::new().mode(0o700).create(dir) {
        // Somebody else was as fast.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(StorageError::io(dir, &error)),
        _ => {}
    }
    sync_directory(parent_of(dir))
}

/// What a directory lies in; the directory that we are in for a name alone.
fn parent_of(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(dir: &Path) -> Result<(), StorageError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| StorageError::io(dir, &error))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
