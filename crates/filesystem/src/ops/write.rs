//! Writing into a file.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    Context, FileSystem, FsError, Node, Result, budget::Reserved, core::Core, flush::Room, inode::Inode,
    ops::access::check_regular, permission::without_set_id,
};

/// How often a writer that waits for room looks whether it may do something for it.
const ROOM_PERIOD: Duration = Duration::from_millis(100);

/// How durable a write is when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stability {
    /// Not yet; COMMIT makes it so.
    Unstable,
    /// The data is.
    DataSync,
    /// Data and attributes are.
    FileSync,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes taken: all of them.
    pub count: u32,
    /// What was asked for or better.
    pub committed: Stability,
}

impl FileSystem {
    /// Writes bytes. Unstable data stays in memory until a commit, its age or memory pressure flushes it; a stable
    /// write is durable when [`durable`](Self::durable) has answered for the compound.
    ///
    /// # Errors
    /// [`FsError::ReadOnly`], [`FsError::FileTooBig`], [`FsError::NoSpace`], [`FsError::IsDirectory`] and its like.
    pub async fn write(
        &self,
        cx: &Context<'_>,
        node: &Node,
        offset: u64,
        data: Bytes,
        stability: Stability,
    ) -> Result<Written> {
        let core = &self.core;
        cx.may_change()?;
        core.enter()?;
        core.check_space()?;
        core.reserve_counters().await?;
        let inode = &node.inode;
        let count = u32::try_from(data.len()).map_err(|_| FsError::Invalid)?;
        core.load(inode).await?;
        let room = core.make_room(inode, data.len()).await?;
        let (many, losses) = core.put_dirty(cx, inode, offset, data)?;
        drop(room);
        if stability != Stability::Unstable {
            let position = core.flush_into(inode, Room::Free, losses).await?;
            cx.watermark.raise(position);
            return Ok(Written { count, committed: Stability::FileSync });
        }
        if many {
            let (core, inode) = (core.clone(), inode.clone());
            tokio::spawn(async move {
                // Whoever wrote is told by the verifier and by COMMIT.
                let _ = core.flush(&inode).await;
            });
        }
        Ok(Written { count, committed: Stability::Unstable })
    }

    /// Changes whenever unstable data may have been lost.
    #[must_use]
    pub fn write_verifier(&self) -> [u8; 8] {
        self.core.verifier_bytes()
    }
}

impl Core {
    /// Waits until the write-back buffer has room for so many bytes, helping with this file first, then with others.
    async fn make_room(&self, inode: &Inode, bytes: usize) -> Result<Reserved<'_>> {
        let mut after = None;
        loop {
            if let Some(room) = self.budget.reserve(bytes) {
                return Ok(room);
            }
            self.enter()?;
            let Some(last) = after else {
                // Its own writers are told what became of it; this one only needs the room.
                let _ = self.flush(inode).await;
                after = Some(0);
                continue;
            };
            let next = self.dirty.lock().range(last + 1..).next().copied();
            after = Some(next.unwrap_or(0));
            match next.map(|fileid| (fileid, self.cache.peek(fileid))) {
                Some((_, Some(other))) => drop(self.flush(&other).await),
                Some((fileid, None)) => drop(self.dirty.lock().remove(&fileid)),
                // All was tried: it is on its way, or another file system's.
                None => tokio::select! {
                    () = self.budget.room() => {}
                    () = self.env.sleep(ROOM_PERIOD) => {}
                },
            }
        }
    }

    /// Puts bytes into the buffer. Whether the file has so much there that it should be flushed, and how often it has
    /// lost data before.
    fn put_dirty(&self, cx: &Context<'_>, inode: &Inode, offset: u64, data: Bytes) -> Result<(bool, u64)> {
        let now = self.env.wall();
        let mut state = inode.lock();
        // Again, since this has waited: a seal that has begun looks at each inode once.
        self.keys.check()?;
        let record = state.record_mut()?;
        check_regular(record)?;
        if data.is_empty() {
            return Ok((false, state.file.losses));
        }
        let end = offset.checked_add(data.len() as u64).ok_or(FsError::FileTooBig)?;
        if end > self.settings.file_bytes_max {
            return Err(FsError::FileTooBig);
        }
        record.size = record.size.max(end);
        record.mtime = now;
        record.ctime = now;
        record.change = self.counters.change();
        if cx.credentials.uid != 0 {
            record.mode = without_set_id(record.mode);
        }
        let file = &mut state.file;
        let before = file.dirty.bytes();
        let first = file.dirty.is_empty();
        file.dirty.write(offset, data);
        file.written += 1;
        let after = file.dirty.bytes();
        if first {
            file.dirty_since = Some(self.env.now());
            self.is_dirty(inode.fileid);
        }
        self.budget.change_dirty(before, after);
        // Once when the mark is passed, not with each write after it.
        let mark = self.settings.dirty_bytes;
        Ok((before < mark && after >= mark, state.file.losses))
    }
}
