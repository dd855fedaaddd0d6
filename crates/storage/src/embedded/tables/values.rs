//! Where in its files a shard keeps each value: for whoever asks which bytes of a data directory are sealed
//! (docs/on-disk-format.md, "Tables").
//!
//! A table's section `data` is one block after another: a head with a checksum of its own, then the items in the order of
//! their keys, then an index. Nothing is compressed, so a value lies there as it was given to the shard. Each first item
//! of an interval has its whole key; the others share the beginning of that one's.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

use super::{CURE, Fields, Sections, tables_of, trouble};
use crate::{
    Keyspace, StorageError,
    embedded::{directory::ENGINE, journal},
};

/// The keyspaces that callers know, by the numbers that fjall gives them.
const KEYSPACES: [(u64, Keyspace); 2] = [(1, Keyspace::Records), (2, Keyspace::Inline)];

const BLOCK_MAGIC: &[u8; 4] = b"LSM\x03";
/// Magic, type, checksum, length as stored, length of the plain block, checksum of these.
const BLOCK_HEAD_BYTES: usize = 4 + 1 + 16 + 4 + 4 + 4;
const DATA_BLOCK: u8 = 0;
/// More than any block has: one record over the size of blocks, and a little.
const BLOCK_BYTES_MAX: usize = 64 << 20;
/// Interval, step, two lengths and two offsets of indexes, five fields about fixed sizes, number of items.
const BLOCK_TRAILER_BYTES: usize = 1 + 1 + 4 * 4 + 1 + 2 + 1 + 1 + 4 + 4;
/// What follows the last item.
const ITEMS_END: u8 = 255;
const VALUE: u8 = 0;
const TOMBSTONES: [u8; 2] = [1, 2];

/// A value where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredValue<'a> {
    /// The file.
    pub file: &'a Path,
    /// The keyspace.
    pub keyspace: Keyspace,
    /// The record's key.
    pub key: &'a [u8],
    /// The first byte of the value in the file.
    pub offset: u64,
    /// The value.
    pub value: &'a [u8],
}

/// Shows every value in the tables of a shard that was closed in good order. Nobody may have it open.
///
/// # Errors
/// [`StorageError`] if the shard was not closed in good order, since records are then in its journal, if a file is
/// damaged, or if the disk fails.
pub fn stored_values(shard: &Path, show: &mut dyn FnMut(&StoredValue<'_>)) -> Result<(), StorageError> {
    let engine = shard.join(ENGINE);
    for path in journal::all(&engine) {
        let length = path.metadata().map_err(|error| StorageError::io(&path, &error))?.len();
        if length > 0 {
            let what = "records are in the journal: the shard was not closed in good order";
            return Err(StorageError::damaged(&path, what, "start and stop the server, then ask again"));
        }
    }
    for (number, keyspace) in KEYSPACES {
        for table in tables_of(&engine.join("keyspaces").join(number.to_string()))? {
            Table { path: &table, keyspace }.show(show)?;
        }
    }
    Ok(())
}

struct Table<'a> {
    path: &'a PathBuf,
    keyspace: Keyspace,
}

impl Table<'_> {
    fn show(&self, show: &mut dyn FnMut(&StoredValue<'_>)) -> Result<(), StorageError> {
        let failed = |error: io::Error| trouble(self.path, &error);
        let file = File::open(self.path).map_err(failed)?;
        let data = Sections::read(&file).map_err(failed)?.and_then(|sections| sections.find(b"data"));
        let Some((mut at, length)) = data else { return Err(self.damaged(0)) };
        let end = at.checked_add(length).ok_or_else(|| self.damaged(at))?;
        while at < end {
            let block = self.block(&file, at)?;
            let begin = at + BLOCK_HEAD_BYTES as u64;
            self.items(&block, begin, show).ok_or_else(|| self.damaged(at))?;
            at = begin + block.len() as u64;
        }
        if at == end { Ok(()) } else { Err(self.damaged(end)) }
    }

    fn damaged(&self, at: u64) -> StorageError {
        StorageError::damaged(self.path, format!("the table is damaged at byte {at}"), CURE)
    }

    /// The block that begins at a place, its checksum being right.
    fn block(&self, file: &File, at: u64) -> Result<Vec<u8>, StorageError> {
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::UnexpectedEof => self.damaged(at),
            _ => trouble(self.path, &error),
        };
        let mut head = [0; BLOCK_HEAD_BYTES];
        file.read_exact_at(&mut head, at).map_err(failed)?;
        let (checksum, length) = Self::head(&head).ok_or_else(|| self.damaged(at))?;
        let mut block = vec![0; length];
        file.read_exact_at(&mut block, at + BLOCK_HEAD_BYTES as u64).map_err(failed)?;
        if xxh3_128(&block) == checksum { Ok(block) } else { Err(self.damaged(at)) }
    }

    fn head(head: &[u8; BLOCK_HEAD_BYTES]) -> Option<(u128, usize)> {
        let mut fields = Fields(head.strip_prefix(BLOCK_MAGIC)?);
        let (kind, checksum, stored, plain) = (fields.u8()?, fields.u128()?, fields.u32()?, fields.u32()?);
        let length = usize::try_from(stored).ok().filter(|length| *length <= BLOCK_BYTES_MAX)?;
        (kind == DATA_BLOCK && stored == plain).then_some((checksum, length))
    }

    /// Shows the values of a block whose first byte is at `begin` of the file. `None` if it does not read to its end.
    fn items(&self, block: &[u8], begin: u64, show: &mut dyn FnMut(&StoredValue<'_>)) -> Option<()> {
        let (_, trailer) = block.split_at_checked(block.len().checked_sub(BLOCK_TRAILER_BYTES)?)?;
        let interval = u32::from(*trailer.first()?);
        let count = u32::from_le_bytes(*trailer.last_chunk()?);
        let mut fields = Fields(block);
        let mut head = Vec::new();
        for number in 0..count {
            let (kind, _number) = (fields.u8()?, varint(&mut fields)?);
            let key = if number.checked_rem(interval)? == 0 {
                let length = varint_length(&mut fields)?;
                head = fields.take(length)?.to_vec();
                head.clone()
            } else {
                let (shared, rest) = (varint_length(&mut fields)?, varint_length(&mut fields)?);
                [head.get(..shared)?, fields.take(rest)?].concat()
            };
            if TOMBSTONES.contains(&kind) {
                continue;
            }
            if kind != VALUE {
                return None;
            }
            let length = varint_length(&mut fields)?;
            let at = block.len() - fields.0.len();
            let value = fields.take(length)?;
            let offset = begin + u64::try_from(at).ok()?;
            show(&StoredValue { file: self.path, keyspace: self.keyspace, key: &key, offset, value });
        }
        (fields.u8()? == ITEMS_END).then_some(())
    }
}

/// A number in groups of seven bits, the lowest first.
fn varint(fields: &mut Fields<'_>) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = fields.u8()?;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn varint_length(fields: &mut Fields<'_>) -> Option<usize> {
    usize::try_from(varint(fields)?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use bytes::Bytes;
    use env::Env;
    use tempfile::TempDir;

    use super::*;
    use crate::{Batch, Engine, embedded::Budgets};

    fn engine() -> Engine {
        Engine::new(Budgets { reserve_bytes: 1 << 20, ..Budgets::default() }, Env::real()).unwrap()
    }

    /// docs/on-disk-format.md, "Tables": each value of a closed shard lies where it is said to lie, and none is left out:
    /// small ones and large ones, with keys alike and not, overwritten and removed ones.
    #[tokio::test]
    async fn every_value_is_found_where_it_lies() {
        let engine = engine();
        let kept = TempDir::new().unwrap();
        let dir = kept.path().join("shard");
        let (shard, _) = engine.create(&dir).await.unwrap();
        let mut wanted = BTreeMap::new();
        for token in 0..400_u32 {
            let mut batch = Batch::new(token.into());
            for (keyspace, name) in [(Keyspace::Records, "r"), (Keyspace::Inline, "i")] {
                let key = Bytes::from(format!("{name}/{}/{token:05}", "long".repeat(token as usize % 40)));
                let length = if token % 50 == 7 { 150_000 } else { token * 3 };
                let value: Vec<u8> = (0..length).map(|at| at.wrapping_mul(token).to_le_bytes()[0]).collect();
                batch.put(keyspace, key.clone(), Bytes::from(value.clone()));
                wanted.insert((name, key), value);
            }
            shard.commit(batch).await.unwrap();
        }
        let mut batch = Batch::new(1 << 20);
        let gone: Vec<_> = wanted.keys().filter(|(name, _)| *name == "r").take(20).cloned().collect();
        for key in gone {
            batch.deletes.push((Keyspace::Records, key.1.clone()));
            wanted.remove(&key);
        }
        shard.commit(batch).await.unwrap();
        assert!(stored_values(&dir, &mut |_| ()).unwrap_err().to_string().contains("not closed in good order"));
        shard.close().await.unwrap();
        let mut files = BTreeMap::new();
        let mut found = BTreeMap::new();
        stored_values(&dir, &mut |stored| {
            let file: &Vec<u8> = files.entry(stored.file.to_owned()).or_insert_with(|| fs::read(stored.file).unwrap());
            let at = usize::try_from(stored.offset).unwrap();
            assert_eq!(&file[at..at + stored.value.len()], stored.value);
            let name = if stored.keyspace == Keyspace::Records { "r" } else { "i" };
            found.insert((name, Bytes::copy_from_slice(stored.key)), stored.value.to_vec());
        })
        .unwrap();
        // Of a removed value an older copy may still be there; every live one must be.
        for (key, value) in &wanted {
            assert_eq!(found.get(key), Some(value), "{key:?}");
        }
        assert!(found.keys().all(|(_, key)| key.starts_with(b"r/") || key.starts_with(b"i/")));
    }

    /// docs/on-disk-format.md, "Tables": a table that does not read is an error that names it, not a shorter list.
    #[tokio::test]
    async fn a_damaged_block_is_an_error() {
        let engine = engine();
        let kept = TempDir::new().unwrap();
        let dir = kept.path().join("shard");
        let (shard, _) = engine.create(&dir).await.unwrap();
        let mut batch = Batch::new(1);
        batch.put(Keyspace::Records, "key", "value of some length");
        shard.commit(batch).await.unwrap();
        shard.close().await.unwrap();
        let table = tables_of(&dir.join("engine/keyspaces/1")).unwrap().remove(0);
        let whole = fs::read(&table).unwrap();
        for at in 0..80 {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x04;
            fs::write(&table, &bytes).unwrap();
            // The checksum of a block's head is the one thing that is not looked at: fjall does that.
            let outcome = stored_values(&dir, &mut |_| ());
            let named = outcome.is_err_and(|error| error.to_string().contains(&*table.to_string_lossy()));
            assert!(named || (29..33).contains(&at), "byte {at}");
        }
    }
}
