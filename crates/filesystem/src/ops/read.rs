//! Reading a file's content.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use storage::Now;

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

/// Windows that are read ahead of a sequential reader that has to wait for the disk.
const AHEAD: u64 = 4;

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
                Err(error) if core.still_mapped(inode, &parts) => return Err(error),
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
        state.file.sequential = state.file.next_read == offset;
        state.file.next_read = end;
        match &parts[..] {
            [Part::Data(at, data)] if *at == offset && *at + data.len() as u64 == end => {
                Ok((Plan::Whole(data.clone()), end, eof))
            }
            _ => Ok((Plan::Assemble(parts), end, eof)),
        }
    }

    async fn assemble(self: &Arc<Self>, inode: &Arc<Inode>, parts: &[Part], range: (u64, u64)) -> Result<Bytes> {
        let (from, to) = range;
        let mut out = BytesMut::zeroed(usize::try_from(to - from).map_err(|_| FsError::Invalid)?);
        for part in parts {
            if self.read_part(inode.fileid, part, range, &mut out).await? {
                self.read_ahead(inode, to);
            }
        }
        Ok(out.freeze())
    }

    /// Whether the map still says what the parts rely on.
    fn still_mapped(&self, inode: &Inode, parts: &[Part]) -> bool {
        let state = inode.lock();
        parts.iter().all(|part| match part {
            Part::Data(..) => true,
            Part::Extent(entry) => {
                let found = state.file.entries(entry.start, entry.end()).any(|now| now.extent == entry.extent);
                found || state.file.missing_window(entry.start, entry.end()).is_some()
            }
        })
    }

    /// A sequential reader had to wait for the disk: brings what follows into the system's memory.
    pub(crate) fn read_ahead(self: &Arc<Self>, inode: &Arc<Inode>, after: u64) {
        let entries: Vec<MapEntry> = {
            let mut state = inode.lock();
            if !state.file.sequential || state.file.reading_ahead {
                return;
            }
            state.file.reading_ahead = true;
            state.file.entries(after, after + AHEAD * WINDOW).copied().collect()
        };
        let (core, inode) = (self.clone(), inode.clone());
        tokio::spawn(async move {
            for entry in entries {
                if let Source::Segment(place) = entry.extent.source {
                    // Only to have it in memory; whoever reads it checks it.
                    let _ = core.segments.read(&place, 0..place.length).await;
                }
            }
            inode.lock().file.reading_ahead = false;
        });
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
