//! The object of a name, or of a directory's parent.

use crate::{
    Context, FileSystem, FsError, Name, Node, Result, core::Core, directory::Probe, inode::Inode, open::ROOT,
    permission,
};

impl FileSystem {
    /// The object that `name` leads to.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::NotDirectory`], [`FsError::IsSymlink`], [`FsError::Access`] without search
    /// permission: whoever may not search must not learn which names exist.
    pub async fn lookup(&self, cx: &Context<'_>, directory: &Node, name: &Name<'_>) -> Result<Node> {
        let core = &self.core;
        core.enter()?;
        core.check_name(name)?;
        let fileid = loop {
            core.load(&directory.inode).await?;
            let names = core.keys.names()?;
            let unknown = {
                let state = directory.inode.lock();
                cx.watermark.raise(state.rights);
                permission::check_search(state.record()?, cx.credentials)?;
                match state.directory.probe(&names, name.bytes()) {
                    Probe::Found { cookie, entry } => {
                        cx.watermark.raise(state.directory.unsynced(cookie));
                        break entry.fileid;
                    }
                    Probe::Absent { unsynced, .. } => {
                        cx.watermark.raise(unsynced);
                        return Err(FsError::NotFound);
                    }
                    Probe::Unknown(cookie) => cookie,
                }
            };
            core.load_slot(&directory.inode, unknown).await?;
        };
        core.entry_node(fileid).await
    }

    /// The directory that this one is in.
    ///
    /// # Errors
    /// [`FsError::NotFound`] at the root.
    pub async fn lookup_parent(&self, cx: &Context<'_>, directory: &Node) -> Result<Node> {
        let core = &self.core;
        core.enter()?;
        core.load(&directory.inode).await?;
        let parent = {
            let state = directory.inode.lock();
            let record = state.record()?;
            cx.watermark.raise(state.unsynced);
            permission::check_search(record, cx.credentials)?;
            record.parent
        };
        if directory.fileid() == ROOT {
            return Err(FsError::NotFound);
        }
        core.entry_node(parent).await
    }
}

impl Core {
    /// The node that an entry leads to. If it went away since, so did the entry.
    pub(crate) async fn entry_node(&self, fileid: u64) -> Result<Node> {
        match self.node(fileid).await {
            Err(FsError::Stale) => Err(FsError::NotFound),
            other => other,
        }
    }

    /// Checks a name against this file system's limit.
    pub(crate) fn check_name(&self, name: &Name<'_>) -> Result<()> {
        if name.bytes().len() > self.settings.name_bytes_max { Err(FsError::NameTooLong) } else { Ok(()) }
    }

    /// Loads slots until a search for `name` needs no more of them.
    pub(crate) async fn know_name(&self, directory: &Inode, name: &[u8]) -> Result<()> {
        loop {
            self.load(directory).await?;
            let names = self.keys.names()?;
            let probe = directory.lock().directory.probe(&names, name);
            match probe {
                Probe::Unknown(cookie) => self.load_slot(directory, cookie).await?,
                Probe::Found { .. } | Probe::Absent { .. } => return Ok(()),
            }
        }
    }
}
