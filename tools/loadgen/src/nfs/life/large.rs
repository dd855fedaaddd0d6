//! A file of 1 TiB that is mostly hole: written at its beginning, across its middle and at its end, read back, cut in the midst
//! of what was written, and grown again.

use std::ops::Range;

use super::{Client, PIECES_DEPTH};
use crate::nfs::file::TestFile;
use crate::nfs::step;
use crate::nfs::work::{PIECE, ReadStretches, WriteStretches};

const LARGE_BYTES: u64 = 1 << 40;
/// Where in a piece the file is cut: neither a sector's boundary nor a block's.
const CUT_BYTES: u64 = 4321;

impl Client {
    pub(super) async fn large(&mut self) -> Result<(), String> {
        let name = self.file_name();
        let pattern = self.pattern.clone();
        let file = TestFile::create(&mut self.session, &self.directory, &name, 0, pattern).await?;
        self.resize(&file, LARGE_BYTES).await?;
        let piece = PIECE as u64;
        let length = (self.run.options.file_bytes() / 3 / piece).max(1) * piece;
        let middle = LARGE_BYTES / 2 - length / 2;
        let mut written: Vec<Range<u64>> = [0, middle, LARGE_BYTES - length].map(|start| start..start + length).into();
        let inside: Vec<u64> = written.iter().flat_map(|range| range.clone().step_by(PIECE)).collect();
        // What lies beside them, and what is far from any.
        let holes = [length, LARGE_BYTES / 4, middle - piece, middle + length, LARGE_BYTES - length - piece];
        let all = [inside.as_slice(), &holes].concat();
        self.measure(&mut WriteStretches { file: &file, offsets: inside.iter().copied() }).await?;
        self.compare(&file, &all, &written).await?;
        let cut = middle + length / 2 + CUT_BYTES;
        self.resize(&file, cut).await?;
        self.resize(&file, LARGE_BYTES).await?;
        written.iter_mut().for_each(|range| *range = range.start.min(cut)..range.end.min(cut));
        self.compare(&file, &all, &written).await?;
        self.drop_file(file).await
    }

    async fn compare(&mut self, file: &TestFile, offsets: &[u64], written: &[Range<u64>]) -> Result<(), String> {
        let mut work = ReadStretches { file, offsets: offsets.iter().copied(), written };
        self.aside(&mut work, PIECES_DEPTH, None).await
    }

    async fn resize(&mut self, file: &TestFile, size: u64) -> Result<(), String> {
        let set = self.session.call_step(&step::resize(&file.handle, file.stateid, size)).await;
        let attributes = set.map_err(|why| format!("{}: {why}", file.name))?.attributes()?;
        if attributes != step::size(size) {
            return Err(format!("{}: its size is not {size}: {attributes:?}", file.name));
        }
        Ok(())
    }
}
