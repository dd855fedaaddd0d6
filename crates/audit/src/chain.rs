//! The lines of the log and what ties them together.
//!
//! A line is one JSON object that begins `{"hash":"H","sequence":N,"previous":"P",`, where P is the hash of the line
//! before (64 zeros for the first) and H is the SHA-256 of everything after the first comma. Whoever keeps the last
//! hash elsewhere can tell that nothing before it was changed, removed or put in.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use aws_lc_rs::digest;
use serde_json::{Map, Value};

use crate::AuditError;

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

    /// Appends a line for `body` to `out` and moves on.
    pub(crate) fn append(&mut self, body: &Map<String, Value>, out: &mut Vec<u8>) {
        let sequence = self.sequence + 1;
        let text = Value::Object(body.clone()).to_string();
        let members = text.strip_prefix('{').unwrap_or_default();
        let rest = format!("\"sequence\":{sequence},\"previous\":\"{}\",{members}", self.hash);
        let hash = hash(rest.as_bytes());
        out.extend_from_slice(b"{\"hash\":\"");
        out.extend_from_slice(hash.as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(rest.as_bytes());
        out.push(b'\n');
        *self = Self { sequence, hash };
    }
}

/// What a check of a whole log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
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

/// Checks the whole chain of a log, line by line, in bounded memory (besides the ids of open events).
pub fn verify(path: &Path) -> Result<Report, AuditError> {
    let file = File::open(path).map_err(|error| io(path, &error))?;
    let mut input = BufReader::new(file);
    let (mut head, mut offset, mut bytes) = (Head::origin(), 0, Vec::new());
    let mut open = BTreeSet::new();
    loop {
        let length = read_line(&mut input, &mut bytes).map_err(|error| io(path, &error))? as u64;
        if length == 0 {
            return Ok(Report { head, incomplete: open.into_iter().collect(), torn_bytes: 0 });
        }
        if bytes.last() != Some(&b'\n') && bytes.len() < LINE_BYTES_MAX {
            return Ok(Report { head, incomplete: open.into_iter().collect(), torn_bytes: length });
        }
        let broken = |why| AuditError::Broken { path: path.to_owned(), offset, why };
        let found = line(&bytes).ok_or_else(|| broken("a line does not match its hash"))?;
        if found.sequence != head.sequence + 1 || found.previous != head.hash {
            return Err(broken("a line does not follow the one before"));
        }
        let text = |name: &str| found.body.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("phase") {
            "begin" => _ = open.insert(text("eventID").to_owned()),
            "complete" => _ = open.remove(text("eventID")),
            _ => {}
        }
        head = Head { sequence: found.sequence, hash: found.hash };
        offset += length;
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

/// Finds the last line to go on from. Unchained bytes after it are torn only if no whole line stands among them;
/// otherwise something else than a crash was at work.
pub(crate) fn tail(path: &Path, file: &mut File) -> Result<Tail, AuditError> {
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
    let mut head = (start == 0).then(Head::origin);
    for piece in rest.split_inclusive(|byte| *byte == b'\n') {
        let Some(found) = line(piece) else { break };
        let follows =
            head.as_ref().is_none_or(|head| found.sequence == head.sequence + 1 && found.previous == head.hash);
        if !follows {
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
        let mut copy = File::create(&aside)?;
        copy.write_all(&tail.torn)?;
        copy.sync_all()?;
        file.set_len(tail.length)?;
        file.sync_all()
    };
    keep().map_err(|error| io(path, &error))
}

pub(crate) fn io(path: &Path, error: &std::io::Error) -> AuditError {
    AuditError::Io { path: path.to_owned(), cause: error.to_string() }
}
