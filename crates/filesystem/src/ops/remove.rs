//! Removing a name, and with the last name the object.

use std::sync::{Arc, atomic::Ordering};

use crate::{
    ChangeInfo, Context, FileSystem, FsError, Kind, Name, Node, Result,
    core::Core,
    directory::{Probe, SlotEntry},
    inode::{Inode, Locked, State},
    keys,
    names::Names,
    operation::{Change, Operation},
    ops::create::signed,
    permission,
    record::Source,
};

/// Objects with at most so many map entries are removed at once; larger ones by the reaper.
pub(crate) const REMOVE_AT_ONCE: u64 = 200;

/// What may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveWhat {
    /// Whatever the name leads to (NFS).
    Any,
    /// A directory (rmdir).
    Directory,
    /// Anything but a directory (unlink).
    NotDirectory,
}

/// What was removed.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The object; its handle is stale from now on if this was its last name and nobody holds it.
    pub node: Node,
    /// The change attribute of the directory.
    pub change: ChangeInfo,
}

impl FileSystem {
    /// Removes a name.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::NotEmpty`], [`FsError::Access`], [`FsError::NotOwner`] in a sticky directory.
    pub async fn remove(
        &self,
        cx: &Context<'_>,
        directory: &Node,
        name: &Name<'_>,
        what: RemoveWhat,
    ) -> Result<Removed> {
        let core = &self.core;
        core.check_name(name)?;
        let mut operation = Some(core.begin(cx, false).await?);
        loop {
            let entry = core.find(cx, directory, name).await?;
            let node = match core.node(entry.fileid).await {
                // Removed in between; the next look says so.
                Err(FsError::Stale) => continue,
                other => other?,
            };
            core.prepare_removal(&node.inode).await?;
            if let Some(change) = core.try_remove(cx, &directory.inode, name, (&node, what), &mut operation)? {
                core.after_removal(&node.inode);
                return Ok(Removed { node, change });
            }
        }
    }
}

impl Core {
    /// The entry of a name, with the directory's search permission checked.
    pub(crate) async fn find(&self, cx: &Context<'_>, directory: &Node, name: &Name<'_>) -> Result<SlotEntry> {
        loop {
            self.load(&directory.inode).await?;
            let names = self.keys.names()?;
            let unknown = {
                let state = directory.inode.lock();
                cx.watermark.raise(state.rights);
                permission::check_search(state.record()?, cx.credentials)?;
                match state.directory.probe(&names, name.bytes()) {
                    Probe::Found { entry, .. } => return Ok(entry),
                    Probe::Absent { unsynced, .. } => {
                        cx.watermark.raise(unsynced);
                        return Err(FsError::NotFound);
                    }
                    Probe::Unknown(cookie) => cookie,
                }
            };
            self.load_slot(&directory.inode, unknown).await?;
        }
    }

    /// Loads what the removal of an object's last name takes along.
    pub(crate) async fn prepare_removal(&self, inode: &Inode) -> Result<()> {
        let (map, markers) = {
            let state = inode.lock();
            // Gone in between: whoever removes it finds that out.
            let Ok(record) = state.record() else { return Ok(()) };
            let regular = record.kind == Kind::Regular && record.links == 1;
            let map = record.entries > 0 && record.entries <= REMOVE_AT_ONCE && !state.file.is_known();
            let directory = record.kind == Kind::Directory && record.entries == 0 && record.mapped > 0;
            (regular && map && state.holds == 0, directory)
        };
        if map {
            self.load_whole_map(inode).await?;
        }
        if markers {
            self.load_all_slots(inode).await?;
        }
        Ok(())
    }

    fn try_remove(
        &self,
        cx: &Context<'_>,
        directory: &Arc<Inode>,
        name: &Name<'_>,
        (node, what): (&Node, RemoveWhat),
        operation: &mut Option<Operation>,
    ) -> Result<Option<ChangeInfo>> {
        let names = self.keys.names()?;
        let child = &node.inode;
        if child.fileid == directory.fileid {
            return Err(FsError::Io("a directory that contains itself".into()));
        }
        let mut locked = Locked::all(&[directory, child]);
        if locked.of(child).is_gone() {
            return Ok(None);
        }
        if locked.of(child).needs_markers() {
            return Err(FsError::Delay);
        }
        let state = locked.of(directory);
        let cookie = match state.directory.probe(&names, name.bytes()) {
            Probe::Found { cookie, entry } if entry.fileid == child.fileid => cookie,
            _ => return Ok(None),
        };
        let parent = state.record()?.clone();
        let removed = locked.of(child).record()?.clone();
        cx.watermark.raise(locked.of(child).rights);
        permission::check_change(&parent, cx.credentials)?;
        permission::check_sticky(&parent, &removed, cx.credentials)?;
        match (what, removed.kind) {
            (RemoveWhat::Directory, kind) if kind != Kind::Directory => return Err(FsError::NotDirectory),
            (RemoveWhat::NotDirectory, Kind::Directory) => return Err(FsError::IsDirectory),
            _ => {}
        }
        if removed.kind == Kind::Directory && removed.entries > 0 {
            cx.watermark.raise(locked.of(child).unsynced);
            return Err(FsError::NotEmpty);
        }
        let mut operation = operation.take().ok_or(FsError::Delay)?;
        // From here on nothing fails.
        let now = self.env.wall();
        let state = locked.of(directory);
        state.remove_entry(&names, cookie, &mut operation)?;
        let record = state.record_mut()?;
        record.links -= u32::from(removed.kind == Kind::Directory);
        record.change = self.counters.change();
        record.mtime = now;
        record.ctime = now;
        let change = ChangeInfo { before: parent.change, after: record.change, atomic: true };
        operation.usage.data += signed(record.space_used()) - signed(parent.space_used());
        state.put_record(&self.counters, &names, &mut operation);
        self.unlink(locked.of(child), &names, now, &mut operation)?;
        let position = self.enqueue(operation, cx);
        locked.of(directory).entered(position);
        locked.of(child).entered(position);
        Ok(Some(change))
    }

    /// Takes one name from an object; with the last one, the object goes too, now or later.
    pub(crate) fn unlink(
        &self,
        state: &mut State,
        names: &Names,
        now: env::WallTime,
        operation: &mut Operation,
    ) -> Result<()> {
        let record = state.record_mut()?;
        record.change = self.counters.change();
        record.ctime = now;
        if record.kind == Kind::Directory {
            record.links = 0;
            return self.destroy(state, operation);
        }
        record.links = record.links.saturating_sub(1);
        if record.links > 0 {
            state.put_record(&self.counters, names, operation);
            return Ok(());
        }
        let fileid = record.fileid;
        let few = record.entries == 0 || (record.entries <= REMOVE_AT_ONCE && state.file.is_known());
        // During grace somebody may still reclaim an open of a file; nobody opens anything else.
        let wanted = state.holds > 0 || (record_is_file(state) && !self.collecting.load(Ordering::Acquire));
        if few && !wanted && state.file.trims.is_empty() {
            return self.destroy(state, operation);
        }
        operation.put_orphan(fileid, &state.orphan());
        state.put_record(&self.counters, names, operation);
        self.orphans.lock().insert(fileid);
        Ok(())
    }

    /// Removes an object whose map is loaded (or empty) for good.
    pub(crate) fn destroy(&self, state: &mut State, operation: &mut Operation) -> Result<()> {
        let record = state.remains()?.clone();
        if record.kind == Kind::Directory {
            state.remove_markers(operation)?;
        }
        let entries: Vec<_> = state.file.all_entries().copied().collect();
        for entry in entries {
            operation.delete(keys::map(record.fileid, entry.start));
            operation.count_live(&entry, -1);
            if entry.extent.source == Source::Inline {
                operation.push(Change::DeleteInline(keys::inline(record.fileid, entry.extent.id)));
            }
        }
        operation.delete(keys::inode(record.fileid));
        operation.usage.objects -= 1;
        operation.usage.inodes = operation.usage.inodes.wrapping_sub(std::mem::take(&mut state.hash));
        operation.usage.data -= signed(record.space_used());
        state.gone = true;
        let dropped = std::mem::take(&mut state.file.dirty);
        self.budget.sub_dirty(dropped.bytes());
        self.dirty.lock().remove(&record.fileid);
        Ok(())
    }

    /// What a removal leaves for later.
    pub(crate) fn after_removal(&self, inode: &Inode) {
        let state = inode.lock();
        // Unloaded by a seal, it may be an orphan all the same.
        let unlinked = match &state.record {
            Some(record) => record.links == 0,
            None => self.orphans.lock().contains(&inode.fileid),
        };
        let later = unlinked && !state.gone && state.holds == 0;
        drop(state);
        if later {
            self.reap.lock().push(inode.fileid);
            self.reaper.notify_one();
        }
    }
}

fn record_is_file(state: &State) -> bool {
    state.record.as_ref().is_some_and(|record| record.kind == Kind::Regular)
}
