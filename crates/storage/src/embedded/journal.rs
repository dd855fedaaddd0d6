//! A look at fjall's journals before fjall reads them (docs/on-disk-format.md, "Journals").
//!
//! fjall takes any entry that it cannot decode for the end of the journal, and cuts the rest off; and it refuses a whole
//! database for a last batch whose middle never reached the disk. A batch is synced before the next is written, so a
//! crash can tear one batch only, the last of the newest journal. That one is cut off here; anything else that does not
//! read is damage, and an error that names the file.

mod ahead;
mod set_aside;

use std::{
    fs::{self, File, OpenOptions},
    hash::Hasher as _,
    io::{BufReader, ErrorKind, Read},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

pub(crate) use self::{
    ahead::{Ahead, batch_bytes},
    set_aside::set_aside,
};
use super::{directory::sync_directory, files};
use crate::{Limits, StorageError};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const TRAILER: &[u8; 4] = b"FJL\x03";
/// Value type, compression, keyspace, lengths of key, value, and value as stored.
const ITEM_HEAD_BYTES: usize = 1 + 1 + 8 + 2 + 4 + 4;
const START_BYTES: usize = 4 + 8;
const END_BYTES: usize = 1 + 8 + TRAILER.len();

/// More than a batch of ours can have.
const ITEMS_MAX: u32 = 1 << 20;

/// More batches than any shard sees.
const SEQNO_MAX: u64 = 1 << 48;

/// Written again at once.
const REWRITE_BYTES: usize = 1 << 20;

/// So many zeros between other bytes are kept.
const HOLE_MAX: usize = 1 << 20;

const CURE: &str = "restore the shard's directory from a backup";

/// The journals of a database, oldest first.
pub(crate) fn all(dir: &Path) -> Vec<PathBuf> {
    numbered(dir).into_iter().map(|(_, path)| path).collect()
}

fn numbered(dir: &Path) -> Vec<(u64, PathBuf)> {
    let number = |path: &PathBuf| path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut journals: Vec<(u64, PathBuf)> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .filter_map(|path| number(&path).map(|number| (number, path)))
        .collect();
    journals.sort_unstable();
    journals
}

/// The journal that was written last, or the directory if there is none.
pub(crate) fn newest(dir: &Path) -> PathBuf {
    all(dir).pop().unwrap_or_else(|| dir.to_owned())
}

/// Leaves one empty journal, when tables hold all that the last one does, so that the next start reads nothing.
///
/// A new one takes its place: a file that is cut short in place may be found with its old length and holes after a crash.
pub(crate) fn leave_empty(dir: &Path) -> Result<(), StorageError> {
    let [(number, only)] = &numbered(dir)[..] else { return Ok(()) };
    let error = |error: std::io::Error| StorageError::io(only, &error);
    if fs::metadata(only).map_err(error)?.len() == 0 {
        return Ok(());
    }
    let next = dir.join(format!("{}.jnl", number + 1));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next);
    made.and_then(|file| file.sync_all()).map_err(|error| StorageError::io(&next, &error))?;
    sync_directory(dir)?;
    fs::remove_file(only).map_err(error)?;
    sync_directory(dir)
}

/// Checks every journal and cuts off what a crash left of a last batch.
///
/// After anything but a `clean` stop the newest journal's bytes are written again, in place, and synced. A sync that
/// failed leaves bytes in the page cache that read well and are not on the disk, and no later sync says so; whatever is
/// read from here on counts as durable. (The older ones were synced before their successor was begun.)
pub(crate) fn prepare(dir: &Path, clean: bool) -> Result<(), StorageError> {
    let mut journals = all(dir);
    let Some(active) = journals.pop() else {
        return Err(StorageError::damaged(&dir.join("0.jnl"), "the journal is missing", CURE));
    };
    let mut seqno = None;
    for sealed in &journals {
        let found = look(sealed, &mut seqno)?;
        if !found.rest.is_empty() {
            return Err(damaged(sealed, found.end));
        }
    }
    let found = look(&active, &mut seqno)?;
    if !found.rest.is_empty() {
        cut_off(&active, &found, seqno)?;
        sync_directory(dir)?;
    }
    if clean { Ok(()) } else { write_again(&active, found.end).map_err(|error| StorageError::io(&active, &error)) }
}

/// Cuts off the batch that a crash left unfinished.
fn cut_off(active: &Path, found: &Found, last: Option<u64>) -> Result<(), StorageError> {
    if found.goes_on() || found.holds_later(last) {
        return Err(damaged(active, found.end));
    }
    tracing::warn!(path = %active.display(), at = found.end, "cutting off a batch that a crash left unfinished");
    let cut = OpenOptions::new().write(true).open(active).and_then(|file| {
        file.set_len(found.end)?;
        file.sync_all()
    });
    cut.map_err(|error| StorageError::io(active, &error))
}

/// Writes the first `end` bytes of a file over themselves, and syncs.
fn write_again(path: &Path, end: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut piece = vec![0; REWRITE_BYTES];
    let mut at = 0;
    while at < end {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX).min(REWRITE_BYTES);
        let bytes = piece.get_mut(..left).unwrap_or_default();
        file.read_exact_at(bytes, at)?;
        file.write_all_at(bytes, at)?;
        at += left as u64;
    }
    file.sync_all()
}

fn damaged(path: &Path, at: u64) -> StorageError {
    let what = format!("the journal is damaged at byte {at}");
    StorageError::damaged(path, what, CURE)
}

/// What a journal holds.
struct Found {
    /// Where the last whole batch ends.
    end: u64,
    /// What follows, up to the last byte that is not zero.
    rest: Vec<u8>,
}

impl Found {
    /// Whether a whole batch with a number above `last` lies somewhere in the rest: what is before it was damaged later,
    /// since it was synced first.
    fn holds_later(&self, last: Option<u64>) -> bool {
        let mut rest = self.rest.as_slice();
        while let Some(start) = rest.iter().position(|byte| *byte == START) {
            rest = rest.get(start..).unwrap_or_default();
            let numbers = rest.get(1..START_BYTES + 1).and_then(|head| head.split_first_chunk::<4>());
            let Some((count, seqno)) = numbers else { return false };
            let seqno = seqno.first_chunk().map_or(u64::MAX, |seqno| u64::from_le_bytes(*seqno));
            let likely = (1..=ITEMS_MAX).contains(&u32::from_le_bytes(*count))
                && seqno < SEQNO_MAX
                && last.is_none_or(|last| seqno > last);
            if likely {
                let mut reader = rest;
                let mut scanner = Scanner { reader: &mut reader, position: 0, value: Vec::new() };
                if matches!(scanner.batch(), Ok(Some(_))) {
                    return true;
                }
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        false
    }

    /// Whether the rest holds the end of a batch and the start of a later one, which no crash leaves.
    fn goes_on(&self) -> bool {
        let border = TRAILER.len() + 1;
        self.rest.windows(border + START_BYTES).any(|window| {
            let Some(start) = window.strip_prefix(TRAILER).and_then(|rest| rest.strip_prefix(&[START])) else {
                return false;
            };
            let Some((count, seqno)) = start.split_first_chunk::<4>() else { return false };
            let seqno = seqno.first_chunk().map_or(u64::MAX, |seqno| u64::from_le_bytes(*seqno));
            (1..=ITEMS_MAX).contains(&u32::from_le_bytes(*count)) && seqno < SEQNO_MAX
        })
    }
}

/// Reads a journal to its end, or to the first thing that is no whole batch. fjall's checksums leave out the numbers of
/// batches, so those must grow, beginning above `seqno`.
fn look(path: &Path, seqno: &mut Option<u64>) -> Result<Found, StorageError> {
    let error = |error: std::io::Error| StorageError::io(path, &error);
    let mut reader = BufReader::with_capacity(256 << 10, File::open(path).map_err(error)?);
    let mut scanner = Scanner { reader: &mut reader, position: 0, value: Vec::new() };
    let mut end = 0;
    while let Some(found) = scanner.batch().map_err(error)? {
        if seqno.is_some_and(|before| found <= before) || found >= SEQNO_MAX {
            return Err(damaged(path, end));
        }
        *seqno = Some(found);
        end = scanner.position;
    }
    let rest = rest_of(path, end).map_err(error)?;
    Ok(Found { end, rest })
}

/// The bytes from `end` on without the zeros at the end, which are space set aside.
fn rest_of(path: &Path, end: u64) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let (mut rest, mut zeros) = (Vec::new(), 0_usize);
    let mut piece = vec![0; 256 << 10];
    let mut at = end;
    while let Some(data) = files::next_data(&file, at)? {
        // How long a hole is makes no difference; that something follows it does.
        zeros = zeros.saturating_add(usize::try_from(data - at).unwrap_or(usize::MAX)).min(HOLE_MAX);
        at = data;
        let read = file.read_at(&mut piece, at)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        match bytes.iter().rposition(|byte| *byte != 0) {
            // Zeros between are kept only once something follows them.
            Some(last) => {
                rest.resize(rest.len() + zeros, 0);
                rest.extend_from_slice(bytes.get(..=last).unwrap_or_default());
                zeros = read - last - 1;
            }
            None => zeros += read,
        }
        at += read as u64;
    }
    Ok(rest)
}

struct Scanner<'a, R> {
    reader: &'a mut R,
    position: u64,
    value: Vec<u8>,
}

impl<R: Read> Scanner<'_, R> {
    /// Reads one batch and returns its number; nothing if what follows is no whole batch.
    fn batch(&mut self) -> std::io::Result<Option<u64>> {
        let before = self.position;
        match self.whole_batch() {
            Ok(Some(seqno)) => Ok(Some(seqno)),
            Ok(None) => {
                self.position = before;
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                self.position = before;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn whole_batch(&mut self) -> std::io::Result<Option<u64>> {
        if self.bytes::<1>()? != [START] {
            return Ok(None);
        }
        let count = u32::from_le_bytes(self.bytes()?);
        let seqno = u64::from_le_bytes(self.bytes()?);
        if count > ITEMS_MAX {
            return Ok(None);
        }
        let mut hash = Xxh3::new();
        for _ in 0..count {
            if !self.item(&mut hash)? {
                return Ok(None);
            }
        }
        let whole = self.bytes::<1>()? == [END]
            && u64::from_le_bytes(self.bytes()?) == hash.finish()
            && self.bytes()? == *TRAILER;
        Ok(whole.then_some(seqno))
    }

    fn item(&mut self, hash: &mut Xxh3) -> std::io::Result<bool> {
        if self.bytes::<1>()? != [ITEM] {
            return Ok(false);
        }
        let head = self.bytes::<ITEM_HEAD_BYTES>()?;
        let [_, compression, _, _, _, _, _, _, _, _, k0, k1, v0, v1, v2, v3, stored @ ..] = head;
        let key = usize::from(u16::from_le_bytes([k0, k1]));
        let value = [v0, v1, v2, v3];
        let limits = Limits::default();
        let length = usize::try_from(u32::from_le_bytes(value)).unwrap_or(usize::MAX);
        if compression != 0 || stored != value || key > limits.key_bytes || length > limits.operation_bytes {
            return Ok(false);
        }
        self.value.resize(key + length, 0);
        self.reader.read_exact(&mut self.value)?;
        self.position += self.value.len() as u64;
        hash.update(&[ITEM]);
        hash.update(&head);
        hash.update(&self.value);
        Ok(true)
    }

    fn bytes<const N: usize>(&mut self) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
