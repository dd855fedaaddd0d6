//! Listing a directory.

use bytes::Bytes;

use crate::{Context, FileSystem, FsError, Kind, Node, Result, permission};

/// Bytes that an entry counts beside its name.
const ENTRY_BYTES: usize = 24;

/// One name in a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name.
    pub name: Bytes,
    /// Where a listing goes on after this entry; stable across changes and restarts.
    pub cookie: u64,
    /// What it leads to.
    pub fileid: u64,
    /// Of this type.
    pub kind: Kind,
    /// The object, if nodes were asked for and it still exists.
    pub node: Option<Node>,
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct DirectoryPage {
    /// Entries in the order of their cookies, `.` and `..` not among them.
    pub entries: Vec<Entry>,
    /// Whether these are the last.
    pub eof: bool,
}

impl FileSystem {
    /// Entries behind `cookie` (0: from the start): at most `entries_max`, and as many as fit `bytes_max` with 24
    /// bytes and the name for each, but at least one.
    ///
    /// # Errors
    /// [`FsError::NotDirectory`], [`FsError::Access`], [`FsError::BadCookie`].
    pub async fn read_directory(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        cookie: u64,
        entries_max: usize,
        bytes_max: usize,
        nodes: bool,
    ) -> Result<DirectoryPage> {
        let core = &self.core;
        core.enter()?;
        core.load(&directory.inode).await?;
        {
            let state = directory.inode.lock();
            let record = state.record()?;
            cx.watermark.raise(state.rights);
            permission::check_directory(record)?;
            permission::check(record, cx.credentials, permission::READ)?;
        }
        if cookie == 1 || cookie == 2 || cookie > crate::names::COOKIE_MAX {
            return Err(FsError::BadCookie);
        }
        let mut room = bytes_max;
        let mut first = true;
        let fits = |name: &[u8]| {
            let bytes = ENTRY_BYTES + name.len();
            let fits = std::mem::take(&mut first) || bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        };
        let listing = core.list(&directory.inode, cookie, entries_max.max(1), fits).await?;
        cx.watermark.raise(listing.unsynced);
        let mut entries = Vec::with_capacity(listing.entries.len());
        for listed in listing.entries {
            let node = if nodes {
                match core.node(listed.fileid).await {
                    Ok(node) => Some(node),
                    // Removed since.
                    Err(FsError::Stale) => None,
                    Err(error) => return Err(error),
                }
            } else {
                None
            };
            let crate::directory::Listed { cookie, name, fileid, kind } = listed;
            entries.push(Entry { name, cookie, fileid, kind, node });
        }
        Ok(DirectoryPage { entries, eof: listing.eof })
    }
}
