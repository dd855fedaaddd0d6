//! COMMIT: unstable data becomes durable.

use crate::{Context, FileSystem, FsError, Node, Result, ops::access::check_regular};

impl FileSystem {
    /// Brings the unstable data of a file on its way; [`durable`](Self::durable) waits for it. The verifier that the
    /// data was made durable under.
    ///
    /// # Errors
    /// [`FsError::Io`] once, if a flush of this file failed since the last commit; [`FsError::NoSpace`].
    pub async fn commit(&self, cx: &Context<'_>, node: &Node, _offset: u64, _count: u32) -> Result<[u8; 8]> {
        let core = &self.core;
        core.enter()?;
        let inode = &node.inode;
        core.load(inode).await?;
        check_regular(inode.lock().record()?)?;
        let flushed = core.flush(inode).await;
        // Told once, by this flush's own error or by this one.
        let failed = std::mem::take(&mut inode.lock().file.flush_failed);
        cx.watermark.raise(flushed?);
        if failed {
            return Err(FsError::Io("unstable data was lost".into()));
        }
        Ok(core.verifier_bytes())
    }
}
