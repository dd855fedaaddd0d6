//! A file that the client writes and knows: what must stand at each of its offsets.

use nfs_wire::nfs4::{NfsFh4, Stateid4};

use super::pattern::Pattern;
use super::session::Session;
use super::step::{self, Step};

/// Versions are kept for blocks of this size.
pub(crate) const BLOCK: usize = 4096;

/// An open file.
pub(crate) struct TestFile {
    /// Its name, for errors.
    pub(crate) name: String,
    pub(crate) handle: NfsFh4,
    pub(crate) stateid: Stateid4,
    pub(crate) pattern: Pattern,
    /// The acknowledged version of each block.
    versions: Vec<u32>,
}

impl TestFile {
    /// Makes and opens a file that will have so many bytes.
    pub(crate) async fn create(
        session: &mut Session,
        directory: &NfsFh4,
        name: &str,
        bytes: u64,
        pattern: Pattern,
    ) -> Result<Self, String> {
        let step = step::open_file(directory, &session.owner(), name);
        let mut results = session.call_step(&step).await.map_err(|why| format!("{name}: {why}"))?;
        let stateid = results.opened()?.stateid;
        let handle = results.handle()?.detached();
        let blocks = usize::try_from(bytes / BLOCK as u64).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name: name.to_owned(), handle, stateid, pattern, versions: vec![0; blocks] })
    }

    /// How many blocks it has.
    pub(crate) fn blocks(&self) -> u64 {
        self.versions.len() as u64
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks() * BLOCK as u64
    }

    /// How many bytes from the beginning on were acknowledged at least once.
    pub(crate) fn written(&self) -> u64 {
        self.versions.iter().take_while(|version| **version > 0).count() as u64 * BLOCK as u64
    }

    /// The version that was last acknowledged for the block at the offset; 0 when it was never written.
    pub(crate) fn version(&self, offset: u64) -> u32 {
        let block = usize::try_from(offset / BLOCK as u64).unwrap_or(usize::MAX);
        self.versions.get(block).copied().unwrap_or(0)
    }

    /// Notes that the server acknowledged a version.
    pub(crate) fn acknowledge(&mut self, offset: u64, bytes: usize, version: u32) {
        let first = usize::try_from(offset / BLOCK as u64).unwrap_or(usize::MAX);
        let blocks = self.versions.iter_mut().skip(first).take(bytes / BLOCK);
        blocks.for_each(|place| *place = version);
    }

    /// Whether these bytes, read at the offset, are what was written.
    pub(crate) fn check(&self, offset: u64, data: &[u8]) -> Result<(), String> {
        for (block, at) in data.chunks(BLOCK).zip((offset..).step_by(BLOCK)) {
            self.pattern.compare(block, at, self.version(at)).map_err(|wrong| {
                format!(
                    "{}: wrong byte at offset {}: read {:#04x}, written {:#04x}",
                    self.name, wrong.offset, wrong.read, wrong.written
                )
            })?;
        }
        Ok(())
    }

    /// The end of its open.
    pub(crate) fn close(&self) -> Step {
        step::close(&self.handle, self.stateid)
    }
}
