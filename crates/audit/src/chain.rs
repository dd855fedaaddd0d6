//! The lines of the log and what ties them together.
//!
//! A line is one JSON object that begins `{"hash":"H","sequence":N,"previous":"P",`, where P is the hash of the line
//! before (64 zeros for the first) and H is the SHA-256 of everything after the first comma. Whoever keeps the last
//! hash elsewhere can tell that nothing before it was changed, removed or put in.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::digest;
use serde_json::Value;

use crate::{AuditError, files};

/// The hash before the first line.
pub(crate) const ORIGIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// No line is longer: its parts are bounded.
pub(crate) const LINE_BYTES_MAX: usize = 1024 * 1024;
/// So much of the end of the file is read when it is opened; many lines, but never the whole of a large log.
const TAIL_BYTES: u64 = 4 * 1024 * 1024;
/// What comes before the hashed part: `{"hash":"`, 64 digits, `",`.
const PREFIX: usize = 9 + 64 + 2;

/// The last line: what the next one follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number, from 1; 0 when there is none.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

impl Head {
    pub(crate) fn origin() -> Self {
        Self { sequence: 0, hash: ORIGIN.to_owned() }
    }

    /// Appends a line for an object, which is given as text, to `out` and moves on.
    pub(crate) fn append(&mut self, body: &[u8], out: &mut Vec<u8>) {
        let sequence = self.sequence + 1;
        let start = out.len() + PREFIX;
        out.extend_from_slice(b"{\"hash\":\"");
        // Its place: it is known when the rest is there.
        out.extend_from_slice(ORIGIN.as_bytes());
        out.extend_from_slice(b"\",\"sequence\":");
        out.extend_from_slice(sequence.to_string().as_bytes());
        out.extend_from_slice(b",\"previous\":\"");
        out.extend_from_slice(self.hash.as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(body.strip_prefix(b"{").unwrap_or_default());
        let hash = hash(out.get(start..).unwrap_or_default());
        if let Some(place) = out.get_mut(start - PREFIX + 9..start - 2) {
            place.copy_from_slice(hash.as_bytes());
        }
        out.push(b'\n');
        *self = Self { sequence, hash };
    }
}

/// What a check of a whole log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The number of the first line: 1, or more if files before it were moved away. Then the chain holds from here on.
    pub first: u64,
    /// The last line: compare it with the one noted before.
    pub head: Head,
    /// Events that were begun and never completed, by their `eventID`: the server ended under them.
    pub incomplete: Vec<String>,
    /// Bytes after the last whole line, left by a crash.
    pub torn_bytes: u64,
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// A line that stands for itself, taken apart.
struct Line {
    sequence: u64,
    hash: String,
    previous: String,
    body: Value,
}

impl Line {
    fn follows(&self, head: &Head) -> bool {
        Some(self.sequence) == head.sequence.checked_add(1) && self.previous == head.hash
    }

    /// The first line of a file that goes on where another ended. The file before it may have been moved away.
    fn begins_file(&self) -> bool {
        self.sequence > 1 && self.body.get("phase").and_then(Value::as_str) == Some(files::PHASE)
    }
}

fn line(bytes: &[u8]) -> Option<Line> {
    let bytes = bytes.strip_suffix(b"\n")?;
    let (prefix, rest) = bytes.split_at_checked(PREFIX)?;
    let claimed = prefix.strip_prefix(b"{\"hash\":\"")?.strip_suffix(b"\",")?;
    let found = hash(rest);
    if found.as_bytes() != claimed {
        return None;
    }
    let body: Value = serde_json::from_slice(bytes).ok()?;
    let sequence = body.get("sequence")?.as_u64()?;
    let previous = body.get("previous")?.as_str()?.to_owned();
    Some(Line { sequence, hash: found, previous, body })
}

/// Reads one line with its newline, at most [`LINE_BYTES_MAX`] bytes of it.
fn read_line(input: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    bytes.clear();
    input.take(LINE_BYTES_MAX as u64).read_until(b'\n', bytes)
}

/// Checks the whole chain of a log, over all of its files that are there, line by line, in bounded memory (besides the
/// ids of open events).
pub fn verify(path: &Path) -> Result<Report, AuditError> {
    let mut all = files::closed(path)?;
    if path.exists() || all.is_empty() {
        all.push(path.to_owned());
    }
    let mut walk = Walk { first: None, head: Head::origin(), open: BTreeSet::new() };
    let mut torn_bytes = 0;
    for (position, file) in all.iter().enumerate() {
        torn_bytes = walk.file(file, position + 1 == all.len())?;
    }
    let incomplete = walk.open.into_iter().collect();
    Ok(Report { first: walk.first.unwrap_or(1), head: walk.head, incomplete, torn_bytes })
}

/// A check on its way through the files.
struct Walk {
    first: Option<u64>,
    head: Head,
    open: BTreeSet<String>,
}

impl Walk {
    /// The bytes after the last whole line; only the last file may have any.
    fn file(&mut self, path: &Path, is_last: bool) -> Result<u64, AuditError> {
        let file = File::open(path).map_err(|error| io(path, &error))?;
        let mut input = BufReader::new(file);
        let (mut offset, mut bytes) = (0, Vec::new());
        loop {
            let length = read_line(&mut input, &mut bytes).map_err(|error| io(path, &error))? as u64;
            let whole = bytes.last() == Some(&b'\n') || bytes.len() >= LINE_BYTES_MAX;
            if length == 0 || (!whole && is_last) {
                return Ok(length);
            }
            let broken = |why| AuditError::Broken { path: path.to_owned(), offset, why };
            let found = line(&bytes).ok_or_else(|| broken("a line does not match its hash"))?;
            if self.first.is_none() && found.begins_file() {
                self.head = Head { sequence: found.sequence - 1, hash: found.previous.clone() };
            }
            self.line(found).ok_or_else(|| broken("a line does not follow the one before"))?;
            offset += length;
        }
    }

    fn line(&mut self, found: Line) -> Option<()> {
        if !found.follows(&self.head) {
            return None;
        }
        self.first.get_or_insert(found.sequence);
        let text = |name: &str| found.body.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("phase") {
            "begin" => _ = self.open.insert(text("eventID").to_owned()),
            "complete" => _ = self.open.remove(text("eventID")),
            _ => {}
        }
        self.head = Head { sequence: found.sequence, hash: found.hash };
        Some(())
    }
}

/// What the end of an existing log was like.
pub(crate) struct Tail {
    pub(crate) head: Head,
    /// The bytes of whole, chained lines.
    pub(crate) length: u64,
    /// What a crash left after them.
    pub(crate) torn: Vec<u8>,
}

/// Finds the last line to go on from; `before` is the end of the file before this one. Unchained bytes after it are torn only if no whole line stands among them;
/// otherwise something else than a crash was at work.
pub(crate) fn tail(path: &Path, file: &mut File, before: Option<Head>) -> Result<Tail, AuditError> {
    let failed = |error: std::io::Error| io(path, &error);
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let start = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let mut rest = bytes.as_slice();
    let mut offset = start;
    if start > 0 {
        let cut = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |position| position + 1);
        rest = rest.get(cut..).unwrap_or_default();
        offset += cut as u64;
    }
    let is_first = start == 0 && before.is_none();
    let mut head = (start == 0).then(|| before.unwrap_or_else(Head::origin));
    for piece in rest.split_inclusive(|byte| *byte == b'\n') {
        let Some(found) = line(piece) else { break };
        let moved_away = is_first && offset == 0 && found.begins_file();
        if !moved_away && !head.as_ref().is_none_or(|head| found.follows(head)) {
            break;
        }
        head = Some(Head { sequence: found.sequence, hash: found.hash });
        offset += piece.len() as u64;
    }
    let broken = |why| AuditError::Broken { path: path.to_owned(), offset, why };
    let head = head.ok_or_else(|| broken("its end holds no whole line"))?;
    let torn = bytes.get(usize::try_from(offset - start).unwrap_or(usize::MAX)..).unwrap_or_default();
    if torn.split_inclusive(|byte| *byte == b'\n').any(|piece| line(piece).is_some()) {
        return Err(broken("a line does not follow the one before"));
    }
    Ok(Tail { head, length: offset, torn: torn.to_vec() })
}

/// Puts torn bytes aside and cuts them off.
pub(crate) fn set_aside(path: &Path, file: &mut File, tail: &Tail) -> Result<(), AuditError> {
    if tail.torn.is_empty() {
        return Ok(());
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".torn-{}", tail.length));
    let keep = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut copy = options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        copy.write_all(&tail.torn)?;
        copy.sync_all()?;
        // Its name as well, before the only other copy of the bytes goes.
        files::sync_directory(path)?;
        file.set_len(tail.length)?;
        file.sync_all()
    };
    keep().map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => AuditError::Io {
            path: path.to_owned(),
            cause: format!(
                "{error}; the log can only go on with room for new records: free space on this disk, then start again"
            ),
        },
        _ => io(path, &error),
    })
}

pub(crate) fn io(path: &Path, error: &std::io::Error) -> AuditError {
    AuditError::Io { path: path.to_owned(), cause: error.to_string() }
}
