//! A further name for an object.

use crate::{
    ChangeInfo, Context, FileSystem, FsError, Kind, Name, Node, Result,
    core::Core,
    directory::{NewEntry, Probe},
    inode::{Inode, Locked},
    operation::Operation,
    ops::create::signed,
    permission,
};

impl FileSystem {
    /// Gives an object another name.
    ///
    /// # Errors
    /// [`FsError::Exists`], [`FsError::IsDirectory`], [`FsError::TooManyLinks`], [`FsError::Access`] and others.
    pub async fn link(&self, cx: &Context<'_>, node: &Node, directory: &Node, name: &Name<'_>) -> Result<ChangeInfo> {
        let core = &self.core;
        core.check_name(name)?;
        if node.kind() == Kind::Directory {
            core.enter()?;
            return Err(FsError::IsDirectory);
        }
        let mut operation = Some(core.begin(cx, true).await?);
        loop {
            core.load(&node.inode).await?;
            core.know_name(&directory.inode, name.bytes()).await?;
            match core.try_link(cx, &node.inode, &directory.inode, name, &mut operation) {
                Ok(Some(change)) => return Ok(change),
                Ok(None) => {}
                Err(error) => {
                    // The object's last name may be on its way out only.
                    cx.watermark.raise(core.queue.last());
                    return Err(error);
                }
            }
        }
    }
}

impl Core {
    fn try_link(
        &self,
        cx: &Context<'_>,
        child: &Inode,
        directory: &Inode,
        name: &Name<'_>,
        operation: &mut Option<Operation>,
    ) -> Result<Option<ChangeInfo>> {
        let names = self.keys.names()?;
        permission::check_directory(directory.lock().record()?)?;
        let mut locked = Locked::all(&[directory, child]);
        let state = locked.of(directory);
        let parent = state.record()?.clone();
        cx.watermark.raise(state.rights);
        permission::check_search(&parent, cx.credentials)?;
        let at = match state.directory.probe(&names, name.bytes()) {
            Probe::Unknown(_) => return Ok(None),
            Probe::Found { cookie, .. } => {
                cx.watermark.raise(state.directory.unsynced(cookie));
                return Err(FsError::Exists);
            }
            Probe::Absent { free, base, .. } => (free, base),
        };
        permission::check_change(&parent, cx.credentials)?;
        let linked = locked.of(child);
        let record = linked.record()?;
        if record.links == 0 {
            // Without a name there is nothing to link to (linkat gives ENOENT).
            return Err(FsError::NotFound);
        }
        if record.links >= self.settings.links_max {
            return Err(FsError::TooManyLinks);
        }
        let mut operation = operation.take().ok_or(FsError::Delay)?;
        // From here on nothing fails.
        let now = self.env.wall();
        let record = linked.record_mut()?;
        record.links += 1;
        record.ctime = now;
        record.change = self.counters.change();
        let entry = NewEntry { name: name.bytes(), fileid: record.fileid, kind: record.kind };
        linked.put_record(&self.counters, &names, &mut operation);
        let state = locked.of(directory);
        state.insert_entry(&names, at, entry, &mut operation)?;
        let record = state.record_mut()?;
        record.change = self.counters.change();
        record.mtime = now;
        record.ctime = now;
        let change = ChangeInfo { before: parent.change, after: record.change, atomic: true };
        operation.usage.data += signed(record.space_used()) - signed(parent.space_used());
        state.put_record(&self.counters, &names, &mut operation);
        let position = self.enqueue(operation, cx);
        locked.of(directory).entered(position);
        locked.of(child).entered(position);
        Ok(Some(change))
    }
}
