//! Attributes and the target of a symbolic link.

use bytes::Bytes;

use crate::{Attributes, Context, FileSystem, FsError, Kind, Node, Result};

impl FileSystem {
    /// All attributes of an object at one moment.
    ///
    /// # Errors
    /// [`FsError::Stale`], [`FsError::Sealed`], [`FsError::Io`].
    pub async fn attributes(&self, cx: &Context<'_>, node: &Node) -> Result<Attributes> {
        self.core.enter()?;
        self.core.load(&node.inode).await?;
        let state = node.inode.lock();
        cx.watermark.raise(state.unsynced);
        Ok(state.record()?.attributes())
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// [`FsError::Invalid`] if it is none.
    pub async fn readlink(&self, cx: &Context<'_>, node: &Node) -> Result<Bytes> {
        self.core.enter()?;
        self.core.load(&node.inode).await?;
        let state = node.inode.lock();
        let record = state.record()?;
        if record.kind != Kind::Symlink {
            return Err(FsError::Invalid);
        }
        cx.watermark.raise(state.unsynced);
        Ok(Bytes::copy_from_slice(&record.target))
    }
}
