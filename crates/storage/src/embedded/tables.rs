//! A look at fjall's tables before fjall opens them (docs/on-disk-format.md, "Tables").
//!
//! fjall 3 believes the numbers in a file before it looks at the checksum over them: the count of a file's sections (sfa
//! 1.0, `TocReader::from_reader`) and of blob files (lsm-tree 3.1, `version::recovery::recover`) each reserve memory, so
//! that one flipped bit ends the whole process. And a keyspace without its `current` it takes for one whose creation was
//! cut short, and removes it. So what those numbers stand in is checked here first: each version file as a whole, and of
//! each table the list of its sections. Everything else in a table lies in blocks whose heads and contents fjall checks
//! itself.

mod values;

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

pub use self::values::{StoredValue, stored_values};
use crate::StorageError;

/// fjall's own keyspace and our three, by the numbers that fjall gives them.
const KEYSPACES: u64 = 4;

const CURRENT: &str = "current";
/// Number of the version, its file's checksum, kind of the checksum.
const CURRENT_BYTES: usize = 8 + 16 + 1;

const TRAILER_MAGIC: &[u8; 4] = b"SFA!";
/// After the magic: version of the container, kind of the checksum.
const TRAILER_VERSION: [u8; 2] = [1, 0];
/// Magic, version, kind, checksum of the list of sections, its place, its length.
const TRAILER_BYTES: usize = 4 + 2 + 16 + 8 + 8;
const SECTIONS_MAGIC: &[u8; 4] = b"TOC!";
/// More than the list of any table needs.
const SECTIONS_BYTES_MAX: u64 = 4096;

const CURE: &str = "restore the shard's directory from a backup";

/// Checks the database of a finished shard: its keyspaces are there, and what fjall will believe of them is true.
pub(crate) fn check(engine: &Path) -> Result<(), StorageError> {
    let version = engine.join("version");
    if !version.exists() {
        return Err(StorageError::damaged(&version, "the file is missing", CURE));
    }
    (0..KEYSPACES).try_for_each(|number| check_keyspace(&engine.join("keyspaces").join(number.to_string())))
}

fn check_keyspace(dir: &Path) -> Result<(), StorageError> {
    for path in tables_of(dir)? {
        let whole = File::open(&path).and_then(|file| Sections::read(&file)).map_err(|error| trouble(&path, &error))?;
        if whole.is_none() {
            return Err(StorageError::damaged(&path, "the table is damaged or cut short", CURE));
        }
    }
    Ok(())
}

/// The tables that the version in force of a keyspace consists of.
fn tables_of(dir: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let path = dir.join(CURRENT);
    let current = read(&path)?;
    let (number, checksum) =
        parse_current(&current).ok_or_else(|| StorageError::damaged(&path, "the file is damaged", CURE))?;

    let path = dir.join(format!("v{number}"));
    let bytes = read(&path)?;
    let tables = if xxh3_128(&bytes) == checksum { parse_version(&bytes) } else { None };
    let tables = tables.ok_or_else(|| StorageError::damaged(&path, "the list of tables is damaged", CURE))?;
    Ok(tables.into_iter().map(|table| dir.join("tables").join(table.to_string())).collect())
}

fn read(path: &Path) -> Result<Vec<u8>, StorageError> {
    fs::read(path).map_err(|error| trouble(path, &error))
}

fn trouble(path: &Path, error: &io::Error) -> StorageError {
    match error.kind() {
        ErrorKind::NotFound => StorageError::damaged(path, "the file is missing", CURE),
        _ => StorageError::io(path, error),
    }
}

/// The number and the checksum of the version in force.
fn parse_current(bytes: &[u8]) -> Option<(u64, u128)> {
    if bytes.len() != CURRENT_BYTES {
        return None;
    }
    let mut fields = Fields(bytes);
    let (number, checksum) = (fields.u64()?, fields.u128()?);
    (fields.u8()? == 0).then_some((number, checksum))
}

/// The tables that a version consists of.
fn parse_version(bytes: &[u8]) -> Option<Vec<u64>> {
    let (at, length) = Sections::in_bytes(bytes)?.find(b"tables")?;
    let at = usize::try_from(at).ok()?;
    let mut fields = Fields(bytes.get(at..at.checked_add(usize::try_from(length).ok()?)?)?);
    let mut tables = Vec::new();
    for _level in 0..fields.u8()? {
        for _run in 0..fields.u8()? {
            for _table in 0..fields.u32()? {
                tables.push(fields.u64()?);
                // Kind and value of a checksum of the whole file, and an offset of its records' numbers.
                let (_, _, _) = (fields.u8()?, fields.u128()?, fields.u64()?);
            }
        }
    }
    Some(tables)
}

/// The list of sections at the end of a file, its checksum being right.
struct Sections(Vec<u8>);

impl Sections {
    /// Nothing if the file has no whole list.
    fn read(file: &File) -> io::Result<Option<Self>> {
        let bytes = file.metadata()?.len();
        let Some(at) = bytes.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, at)?;
        let Some((checksum, from)) = Self::parse_trailer(&trailer) else { return Ok(None) };
        let length = at.checked_sub(from).filter(|length| *length <= SECTIONS_BYTES_MAX);
        let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else { return Ok(None) };
        let mut list = vec![0; length];
        file.read_exact_at(&mut list, from)?;
        Ok(Self::checked(list, checksum))
    }

    fn in_bytes(bytes: &[u8]) -> Option<Self> {
        let (rest, trailer) = bytes.split_last_chunk()?;
        let (checksum, from) = Self::parse_trailer(trailer)?;
        Self::checked(rest.get(usize::try_from(from).ok()?..)?.to_vec(), checksum)
    }

    fn parse_trailer(trailer: &[u8; TRAILER_BYTES]) -> Option<(u128, u64)> {
        let rest = trailer.strip_prefix(TRAILER_MAGIC)?.strip_prefix(&TRAILER_VERSION)?;
        let mut fields = Fields(rest);
        Some((fields.u128()?, fields.u64()?))
    }

    fn checked(list: Vec<u8>, checksum: u128) -> Option<Self> {
        (xxh3_128(&list) == checksum && list.starts_with(SECTIONS_MAGIC)).then_some(Self(list))
    }

    /// Place and length of the section of this name.
    fn find(&self, wanted: &[u8]) -> Option<(u64, u64)> {
        let mut fields = Fields(self.0.strip_prefix(SECTIONS_MAGIC)?);
        for _section in 0..fields.u32()? {
            let (at, length, name) = (fields.u64()?, fields.u64()?, fields.u16()?);
            if fields.take(name.into())? == wanted {
                return Some((at, length));
            }
        }
        None
    }
}

/// Little-endian numbers, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }
}

#[cfg(test)]
mod tests;
