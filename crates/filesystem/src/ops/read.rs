//! Reading a file's content.

use bytes::{Bytes, BytesMut};
use storage::{Now, Place};

use crate::{
    Context, FileSystem, FsError, Node, Result,
    core::Core,
    file::Part,
    inode::Inode,
    ops::access::check_regular,
    record::{MapEntry, Source, WINDOW},
};

/// What a read brought.
#[derive(Clone, Debug)]
pub struct ReadData {
    /// The bytes; fewer than asked for only at the end of the file.
    pub data: Bytes,
    /// Whether they reach the end of the file.
    pub eof: bool,
    /// Give this to [`FileSystem::lease_valid`] just before the reply is sent.
    pub lease: u64,
}

/// How to make the bytes that were asked for.
enum Plan {
    /// They are one run in memory.
    Whole(Bytes),
    Assemble(Vec<Part>),
    Missing(u64),
}

/// So much is asked of the disk ahead of a sequential reader that has had to wait for it.
const AHEAD: u64 = 4 * WINDOW;

/// Requests of one reader overtake each other on their way; within this distance they still are in sequence.
const SEQUENCE: u64 = 4 * WINDOW;

impl FileSystem {
    /// Reads up to `count` bytes. Reads do not change the access time, as at EFS.
    ///
    /// # Errors
    /// [`FsError::IsDirectory`] and its like; [`FsError::Io`] where stored data does not verify.
    pub async fn read(&self, cx: &Context<'_>, node: &Node, offset: u64, count: u32) -> Result<ReadData> {
        let core = &self.core;
        let lease = core.keys.seals();
        core.enter()?;
        let inode = &node.inode;
        loop {
            core.load(inode).await?;
            let (plan, end, eof) = core.plan(cx, inode, offset, count)?;
            let parts = match plan {
                Plan::Missing(window) => {
                    core.load_window(inode, window).await?;
                    continue;
                }
                Plan::Whole(data) => return Ok(ReadData { data, eof, lease }),
                Plan::Assemble(parts) => parts,
            };
            match core.assemble(inode, &parts, (offset, end)).await {
                Ok(data) => return Ok(ReadData { data, eof, lease }),
                // What was overwritten meanwhile may be deleted already; what is still in the map may not.
                Err(error) if core.still_mapped(inode, &parts).await? => return Err(error),
                Err(_) => core.enter()?,
            }
        }
    }
}

impl Core {
    /// What the bytes consist of, the end of the range, and whether that is the end of the file.
    fn plan(&self, cx: &Context<'_>, inode: &Inode, offset: u64, count: u32) -> Result<(Plan, u64, bool)> {
        let mut state = inode.lock();
        let record = state.record()?;
        check_regular(record)?;
        let size = record.size;
        let end = offset.saturating_add(u64::from(count)).min(size).max(offset);
        let eof = end >= size;
        cx.watermark.raise(state.unsynced);
        if offset >= end {
            return Ok((Plan::Whole(Bytes::new()), end, offset >= size));
        }
        if let Some(window) = state.file.missing_window(offset, end) {
            return Ok((Plan::Missing(window), end, eof));
        }
        let parts = state.file.parts(offset, end, true);
        if state.file.next_read.abs_diff(offset) > SEQUENCE {
            state.file.ahead = 0;
        }
        state.file.next_read = end;
        match &parts[..] {
            [Part::Data(at, data)] if *at == offset && *at + data.len() as u64 == end => {
                Ok((Plan::Whole(data.clone()), end, eof))
            }
            _ => Ok((Plan::Assemble(parts), end, eof)),
        }
    }

    async fn assemble(&self, inode: &Inode, parts: &[Part], range: (u64, u64)) -> Result<Bytes> {
        let (from, to) = range;
        let mut out = BytesMut::zeroed(usize::try_from(to - from).map_err(|_| FsError::Invalid)?);
        let mut waited = false;
        for part in parts {
            waited |= self.read_part(inode.fileid, part, range, &mut out).await?;
        }
        self.read_ahead(inode, to, waited);
        Ok(out.freeze())
    }

    /// Whether the map still says what the parts rely on.
    async fn still_mapped(&self, inode: &Inode, parts: &[Part]) -> Result<bool> {
        loop {
            let window = {
                let state = inode.lock();
                // Its map stays as it was in memory, and nothing of it on the disk.
                if state.is_gone() {
                    return Ok(false);
                }
                let entries = || {
                    parts.iter().filter_map(|part| match part {
                        Part::Data(..) => None,
                        Part::Extent(entry) => Some(entry),
                    })
                };
                let missing = entries().find_map(|entry| state.file.missing_window(entry.start, entry.end()));
                let Some(window) = missing else {
                    let lies_there = |entry: &MapEntry| {
                        state.file.entries(entry.start, entry.end()).any(|now| now.extent == entry.extent)
                    };
                    return Ok(entries().all(lies_there));
                };
                window
            };
            self.load_window(inode, window).await?;
        }
    }

    /// Once a sequential reader has had to wait for the disk, what follows is asked for before it comes to that.
    fn read_ahead(&self, inode: &Inode, after: u64, waited: bool) {
        let places: Vec<Place> = {
            let mut state = inode.lock();
            let file = &mut state.file;
            let reading = waited || file.ahead > 0;
            if !reading || file.ahead.saturating_sub(after) > AHEAD / 2 {
                return;
            }
            let from = file.ahead.max(after);
            // Only as far as the map is at hand.
            let until = file.missing_window(from, after + AHEAD).map_or(after + AHEAD, |window| window * WINDOW);
            file.ahead = until.max(from);
            let place = |entry: &MapEntry| match entry.extent.source {
                Source::Segment(place) => Some(place),
                Source::Inline => None,
            };
            file.entries(from, until).filter_map(place).collect()
        };
        for place in &places {
            self.segments.prefetch(place);
        }
    }

    /// Lays one part over its place in `out`, which stands for `from..to`. True if that had to wait for the disk.
    pub(crate) async fn read_part(
        &self,
        fileid: u64,
        part: &Part,
        (from, to): (u64, u64),
        out: &mut [u8],
    ) -> Result<bool> {
        let (low, high) = match part {
            Part::Data(at, data) => (*at, *at + data.len() as u64),
            Part::Extent(entry) => (entry.start.max(from), entry.end().min(to)),
        };
        let range = usize::try_from(low - from).unwrap_or(0)..usize::try_from(high - from).unwrap_or(0);
        let out = out.get_mut(range).ok_or(FsError::Invalid)?;
        match part {
            Part::Data(_, data) => {
                out.copy_from_slice(data);
                Ok(false)
            }
            Part::Extent(entry) => match self.read_extent_now(fileid, entry, (low, high), out)? {
                Now::Hit(()) => Ok(false),
                Now::WouldBlock => self.read_extent(fileid, entry, (low, high), out).await.map(|()| true),
            },
        }
    }
}
