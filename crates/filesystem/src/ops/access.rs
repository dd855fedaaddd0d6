//! What a caller may do with an object.

use crate::{AccessMask, Context, FileSystem, FsError, Kind, Node, Result, permission, record::InodeRecord};

impl FileSystem {
    /// The rights of `asked` that the caller has.
    ///
    /// # Errors
    /// [`FsError::Stale`], [`FsError::Sealed`], [`FsError::Io`].
    pub async fn access(&self, cx: &Context<'_>, node: &Node, asked: AccessMask) -> Result<AccessMask> {
        self.core.enter()?;
        self.core.load(&node.inode).await?;
        let state = node.inode.lock();
        cx.watermark.raise(state.unsynced);
        Ok(permission::access(state.record()?, cx.credentials, asked, cx.read_only))
    }

    /// Whether the caller may open a file to read ([`AccessMask::READ`]) or write ([`AccessMask::MODIFY`]).
    ///
    /// # Errors
    /// [`FsError::Access`], [`FsError::ReadOnly`]; [`FsError::IsDirectory`], [`FsError::IsSymlink`] or
    /// [`FsError::WrongType`] if the object is no regular file.
    pub async fn check_open(&self, cx: &Context<'_>, node: &Node, access: AccessMask) -> Result<()> {
        self.check_file(cx, node, access, false).await
    }

    /// Whether the caller may read or write without an open. The owner may always, as if through an open that came
    /// before a change of mode.
    ///
    /// # Errors
    /// As [`FileSystem::check_open`].
    pub async fn check_io(&self, cx: &Context<'_>, node: &Node, access: AccessMask) -> Result<()> {
        self.check_file(cx, node, access, true).await
    }

    async fn check_file(&self, cx: &Context<'_>, node: &Node, access: AccessMask, owner_may: bool) -> Result<()> {
        self.core.enter()?;
        self.core.load(&node.inode).await?;
        let state = node.inode.lock();
        let record = state.record()?;
        check_regular(record)?;
        cx.watermark.raise(state.unsynced);
        if access.has(AccessMask::MODIFY) {
            cx.may_change()?;
        }
        if owner_may && cx.credentials.uid == record.uid {
            return Ok(());
        }
        let wanted = [(AccessMask::READ, permission::READ), (AccessMask::MODIFY, permission::WRITE)];
        for (right, bits) in wanted {
            // Whoever may execute may read what is to be executed, without an open.
            let by_execute = owner_may
                && right == AccessMask::READ
                && permission::permits(record, cx.credentials, permission::EXECUTE);
            if access.has(right) && !by_execute {
                permission::check(record, cx.credentials, bits)?;
            }
        }
        Ok(())
    }
}

/// Only regular files have content.
pub(crate) fn check_regular(record: &InodeRecord) -> Result<()> {
    match record.kind {
        Kind::Regular => Ok(()),
        Kind::Directory => Err(FsError::IsDirectory),
        Kind::Symlink => Err(FsError::IsSymlink),
        Kind::Fifo | Kind::Socket | Kind::Block | Kind::Character => Err(FsError::WrongType),
    }
}
