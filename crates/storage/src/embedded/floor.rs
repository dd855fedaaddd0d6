//! The floor file: how far a shard's log must reach (docs/on-disk-format.md, "Floor").
//!
//! Two slots are written in turn, each followed by an fdatasync, so one of them is always whole. The floor is raised
//! when a shard is opened and closed, every [`BATCHES`] batches, and [`PERIOD`] after the last batch of a burst.
//!
//! **What it proves.** A log that ends below the floor has lost batches that were durable, and is refused. Batches above
//! the floor, so at most the last [`BATCHES`] or those of a busy shard's last moments, could be cut off the journal's end
//! by damage without being missed here; the file system's own floor in the control shard looks at those again.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use crypto::Prf;

use super::history::Hash;
use crate::{Seq, StorageError};

/// The floor follows the log at this distance at most.
pub(crate) const BATCHES: u64 = 1024;

/// How long after a batch the floor is raised, when no other batch comes.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);

const MAGIC: &[u8; 8] = b"COFFLOOR";
const SLOT_BYTES: u64 = 4096;
const BODY_BYTES: usize = 8 + 8 + 1 + 8 + 16;

/// What a slot says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) seq: Seq,
    pub(crate) hash: Hash,
    /// Nothing was written after this: the opening was closed in good order.
    pub(crate) clean: bool,
}

/// The file, open for the life of the opening.
pub(crate) struct FloorFile {
    file: File,
    path: PathBuf,
    counter: u64,
    current: Floor,
}

impl FloorFile {
    /// Makes the file of a new shard.
    pub(crate) fn create(path: &Path, chain: &Prf) -> Result<(), StorageError> {
        let error = |error: std::io::Error| StorageError::io(path, &error);
        let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(error)?;
        file.set_len(2 * SLOT_BYTES).map_err(error)?;
        for counter in 0..2 {
            file.write_all_at(&encode(chain, counter, &Floor::default()), counter % 2 * SLOT_BYTES).map_err(error)?;
        }
        file.sync_all().map_err(error)
    }

    /// Reads the newer of the two slots that are whole.
    pub(crate) fn open(path: &Path, chain: &Prf) -> Result<Self, StorageError> {
        let cure = "restore the shard's directory from a backup";
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StorageError::damaged(path, "the floor file is missing", cure),
            _ => StorageError::io(path, &error),
        })?;
        let read = |slot: u64| {
            let mut bytes = [0; BODY_BYTES + 16];
            file.read_exact_at(&mut bytes, slot * SLOT_BYTES).ok().and_then(|()| decode(chain, &bytes))
        };
        let slots = [read(0), read(1)];
        if slots.iter().any(Option::is_none) {
            tracing::warn!(path = %path.display(), "one slot of the floor file is not whole; the other one counts");
        }
        let newest = slots.into_iter().flatten().max_by_key(|(counter, _)| *counter);
        let Some((counter, current)) = newest else {
            return Err(StorageError::damaged(path, "neither slot of the floor file is whole", cure));
        };
        Ok(Self { file, path: path.to_owned(), counter, current })
    }

    pub(crate) fn current(&self) -> Floor {
        self.current
    }

    /// Writes `floor` into the older slot; durable on return.
    pub(crate) fn raise(&mut self, chain: &Prf, floor: Floor) -> Result<(), StorageError> {
        let counter = self.counter + 1;
        let error = |error: std::io::Error| StorageError::io(&self.path, &error);
        self.file.write_all_at(&encode(chain, counter, &floor), counter % 2 * SLOT_BYTES).map_err(error)?;
        self.file.sync_data().map_err(error)?;
        (self.counter, self.current) = (counter, floor);
        Ok(())
    }
}

fn encode(chain: &Prf, counter: u64, floor: &Floor) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BODY_BYTES + 16);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&counter.to_be_bytes());
    bytes.push(u8::from(floor.clean));
    bytes.extend_from_slice(&floor.seq.0.to_be_bytes());
    bytes.extend_from_slice(&floor.hash);
    let mac = chain.mac16(&bytes);
    bytes.extend_from_slice(&mac);
    bytes
}

fn decode(chain: &Prf, bytes: &[u8]) -> Option<(u64, Floor)> {
    let (body, mac) = bytes.split_at_checked(BODY_BYTES)?;
    if !crypto::equal(&chain.mac16(body), mac) {
        return None;
    }
    let rest = body.strip_prefix(MAGIC)?;
    let (counter, rest) = rest.split_first_chunk()?;
    let (clean, rest) = rest.split_first()?;
    let (seq, hash) = rest.split_first_chunk()?;
    let floor = Floor { seq: Seq(u64::from_be_bytes(*seq)), hash: hash.try_into().ok()?, clean: *clean == 1 };
    Some((u64::from_be_bytes(*counter), floor))
}

#[cfg(test)]
mod tests {
    use crypto::Key;

    use super::*;

    fn chain() -> Prf {
        Prf::new(Key::take(&mut [1; 32]).unwrap())
    }

    fn floor(seq: u64) -> Floor {
        Floor { seq: Seq(seq), hash: [7; 16], clean: seq.is_multiple_of(2) }
    }

    /// Architecture section 4: slots alternate, so a torn write leaves the floor before; with both gone it is an error.
    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("floor");
        FloorFile::create(&path, &chain()).unwrap();
        let mut file = FloorFile::open(&path, &chain()).unwrap();
        assert_eq!(file.current(), Floor::default());
        for seq in 1..=4 {
            file.raise(&chain(), floor(seq)).unwrap();
        }
        assert_eq!(FloorFile::open(&path, &chain()).unwrap().current(), floor(4));

        let newest = file.counter % 2 * SLOT_BYTES;
        file.file.write_all_at(&[0xff], newest + 20).unwrap();
        assert_eq!(FloorFile::open(&path, &chain()).unwrap().current(), floor(3));
        file.file.write_all_at(&[0xff], (SLOT_BYTES - newest) + 20).unwrap();
        let error = FloorFile::open(&path, &chain()).err().unwrap().to_string();
        assert!(error.contains("floor") && error.contains("backup"), "{error}");
    }
}
