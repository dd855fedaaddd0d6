//! The files of a log: the one that is written, `audit.log`, and those that were closed when they had grown to their
//! size, `audit.log.N`, where N is the number of their last line in 20 digits. The chain goes on from file to file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::AuditError;
use crate::chain::{self, Head};

/// A file that has grown to this is closed, and the next one begins.
pub(crate) const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// The phase of the line that begins a file after the first.
pub(crate) const PHASE: &str = "continuation";
/// Digits of a closed file's number.
const DIGITS: usize = 20;

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Makes names in the log's directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// The closed files that are there, oldest first.
pub(crate) fn closed(path: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let mut prefix: OsString = path.file_name().map(OsStr::to_owned).unwrap_or_default();
    prefix.push(".");
    let numbered = |name: &OsStr| {
        let rest = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        rest.is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_digit))
    };
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory(path))? {
            let entry = entry?;
            if numbered(&entry.file_name()) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    };
    list().map_err(|error| chain::io(path, &error))
}

/// The end of the newest closed file, which the file that is written goes on from.
pub(crate) fn last_closed(path: &Path) -> Result<Option<Head>, AuditError> {
    let Some(newest) = closed(path)?.pop() else { return Ok(None) };
    let mut file = File::open(&newest).map_err(|error| chain::io(&newest, &error))?;
    // Whatever came before it may have been moved away; its own lines say where they stand.
    let tail = chain::tail(&newest, &mut file, None)?;
    if tail.torn.is_empty() {
        Ok(Some(tail.head))
    } else {
        let why = "a closed file does not end with a whole line";
        Err(AuditError::Broken { path: newest, offset: tail.length, why })
    }
}

/// The file that is written, opened or made, locked.
pub(crate) fn open(path: &Path) -> Result<File, AuditError> {
    let failed = |error: io::Error| chain::io(path, &error);
    // Left by a crash while the next file was being made; nothing but its first line was ever in it.
    match fs::remove_file(next_name(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let existed = path.exists();
    let mut options = OpenOptions::new();
    let file = options.read(true).append(true).create(true).mode(0o600).open(path).map_err(failed)?;
    file.try_lock().map_err(|_| AuditError::Locked(path.to_owned()))?;
    if !existed {
        sync_directory(path).map_err(failed)?;
    }
    Ok(file)
}

fn next_name(path: &Path) -> PathBuf {
    beside(path, ".next")
}

/// The line that begins a file after the first.
pub(crate) fn first_line(head: &mut Head, out: &mut Vec<u8>) {
    let mut body = Map::new();
    body.insert("phase".to_owned(), PHASE.into());
    body.insert("closed".to_owned(), closed_suffix(head).trim_start_matches('.').into());
    head.append(Value::Object(body).to_string().as_bytes(), out);
}

fn closed_suffix(head: &Head) -> String {
    format!(".{:0DIGITS$}", head.sequence)
}

/// Closes the file that ends with `head`, which is synced, and begins the next: it, and the bytes in it. On an error
/// before the names changed the log goes on as it was.
pub(crate) fn rotate(path: &Path, head: &mut Head) -> Result<Rotated, AuditError> {
    let next = next_name(path);
    let closed = beside(path, &closed_suffix(head));
    let mut begun = head.clone();
    let mut bytes = Vec::new();
    first_line(&mut begun, &mut bytes);
    let make = || -> io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create_new(true).mode(0o600).open(&next)?;
        file.try_lock()?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(file)
    };
    let file = match make() {
        Ok(file) => file,
        Err(error) => {
            // Whatever is left of it is removed at the next try or the next start.
            _ = fs::remove_file(&next);
            return Ok(Rotated::NotNow(error.to_string()));
        }
    };
    let rename = || -> io::Result<()> {
        fs::rename(path, &closed)?;
        fs::rename(&next, path)?;
        sync_directory(path)
    };
    rename().map_err(|error| chain::io(path, &error))?;
    *head = begun;
    Ok(Rotated::Done(file, bytes.len() as u64))
}

/// What became of a rotation.
pub(crate) enum Rotated {
    /// The next file, and how long it is.
    Done(File, u64),
    /// It could not be made; the file before goes on.
    NotNow(String),
}
