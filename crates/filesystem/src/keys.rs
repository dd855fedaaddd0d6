//! Where each record lies in the shard (docs/on-disk-format.md, "Keys"). All numbers are big-endian, so that the
//! engine's order is ours.
//!
//! | key | record |
//! |---|---|
//! | `S` | superblock |
//! | `C` | counters reserved ahead |
//! | `U` | usage totals |
//! | `I` fileid | inode |
//! | `D` directory, cookie | directory entry, or the marker of a removed one |
//! | `M` fileid, offset | entry of a file's extent map |
//! | `O` fileid | orphan, or the rest of a large removal |
//! | `G` segment | live bytes of a segment |
//! | `R` session, slot | stored reply |
//! | `P` kind, PRF of the key | record of the protocol server |
//!
//! In the keyspace of inline bytes: fileid, extent id.

use bytes::Bytes;
use storage::SegmentId;

use crate::Result;
use crate::codec::{Reader, Writer, malformed};

pub(crate) const SUPERBLOCK: &[u8] = b"S";
pub(crate) const COUNTERS: &[u8] = b"C";
pub(crate) const USAGE: &[u8] = b"U";
pub(crate) const INODE: u8 = b'I';
pub(crate) const ENTRY: u8 = b'D';
pub(crate) const MAP: u8 = b'M';
pub(crate) const ORPHAN: u8 = b'O';
pub(crate) const LIVE: u8 = b'G';
pub(crate) const REPLY: u8 = b'R';
pub(crate) const PROTOCOL: u8 = b'P';

/// Bytes of the longest key.
pub(crate) const KEY_BYTES_MAX: usize = 32;

fn one(prefix: u8, a: u64) -> Bytes {
    Writer::with_capacity(9).u8(prefix).u64(a).done().into()
}

fn two(prefix: u8, a: u64, b: u64) -> Bytes {
    Writer::with_capacity(17).u8(prefix).u64(a).u64(b).done().into()
}

pub(crate) fn inode(fileid: u64) -> Bytes {
    one(INODE, fileid)
}

pub(crate) fn entry(directory: u64, cookie: u64) -> Bytes {
    two(ENTRY, directory, cookie)
}

pub(crate) fn map(fileid: u64, offset: u64) -> Bytes {
    two(MAP, fileid, offset)
}

pub(crate) fn map_prefix(fileid: u64) -> Bytes {
    one(MAP, fileid)
}

pub(crate) fn orphan(fileid: u64) -> Bytes {
    one(ORPHAN, fileid)
}

pub(crate) fn live(segment: SegmentId) -> Bytes {
    one(LIVE, segment.0)
}

pub(crate) fn reply(session: &[u8; 16], slot: u32) -> Bytes {
    Writer::with_capacity(21).u8(REPLY).bytes(session).u32(slot).done().into()
}

pub(crate) fn reply_prefix(session: &[u8; 16]) -> Bytes {
    Writer::with_capacity(17).u8(REPLY).bytes(session).done().into()
}

pub(crate) fn protocol(kind: u8, mac: &[u8; 16]) -> Bytes {
    Writer::with_capacity(18).u8(PROTOCOL).u8(kind).bytes(mac).done().into()
}

pub(crate) fn inline(fileid: u64, extent: u64) -> Bytes {
    Writer::with_capacity(16).u64(fileid).u64(extent).done().into()
}

/// The file of a key of inline bytes.
pub(crate) fn inline_file(key: &[u8]) -> Result<u64> {
    let mut reader = Reader::new(key);
    let numbers = (reader.u64()?, reader.u64()?);
    reader.end()?;
    Ok(numbers.0)
}

/// The number after the prefix of a one-number key.
pub(crate) fn number(key: &[u8]) -> Result<u64> {
    let mut reader = Reader::new(key.get(1..).ok_or_else(malformed)?);
    let number = reader.u64()?;
    reader.end()?;
    Ok(number)
}

/// The two numbers after the prefix of a two-number key.
pub(crate) fn numbers(key: &[u8]) -> Result<(u64, u64)> {
    let mut reader = Reader::new(key.get(1..).ok_or_else(malformed)?);
    let numbers = (reader.u64()?, reader.u64()?);
    reader.end()?;
    Ok(numbers)
}
