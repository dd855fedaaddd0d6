//! Setting attributes, the size among them.

use env::WallTime;

use crate::{
    Context, Credentials, FileSystem, FsError, Kind, Node, Result, SetAttributes, SetTime,
    core::Core,
    inode::{Inode, State},
    names::Names,
    operation::Operation,
    ops::access::check_regular,
    permission::{self, SET_GROUP, WRITE, owns, without_set_id},
    record::{InodeRecord, Trim, WINDOW},
};

/// A truncation that removes more map entries than this leaves them to the reaper.
const CUT_AT_ONCE: u64 = 200;

/// More truncations than this are not left to the reaper at once.
const TRIMS_MAX: usize = 8;

impl FileSystem {
    /// Sets the attributes given. A size that comes through an open for writing (`by_open`) needs no write permission.
    ///
    /// # Errors
    /// [`FsError::NotOwner`], [`FsError::Access`], [`FsError::FileTooBig`], [`FsError::IsDirectory`] and others.
    pub async fn set_attributes(
        &self,
        cx: &Context<'_>,
        node: &Node,
        set: &SetAttributes,
        by_open: bool,
    ) -> Result<()> {
        let core = &self.core;
        let inode = &node.inode;
        cx.may_change()?;
        core.enter()?;
        // Before the place in the queue: see `Queue::admit`.
        let _turn = match set.size {
            Some(size) if size > core.settings.file_bytes_max => return Err(FsError::FileTooBig),
            // Nothing is on its way into the map while it is cut.
            Some(_) => Some(inode.flushing.lock().await),
            None => None,
        };
        core.load(inode).await?;
        if set.size.is_some() && inode.lock().file.trims.len() >= TRIMS_MAX {
            core.carry_out(inode).await?;
        }
        // To cut or to change attributes takes no space to speak of: whoever is out of space must be able to.
        let mut operation = Some(core.begin(cx, false).await?);
        loop {
            core.load(inode).await?;
            match core.try_set(cx, inode, (set, by_open), &mut operation)? {
                None => return Ok(()),
                Some(window) => core.load_window(inode, window).await?,
            }
        }
    }
}

impl Core {
    /// Sets everything, or names a window of the map that is missing.
    fn try_set(
        &self,
        cx: &Context<'_>,
        inode: &Inode,
        (set, by_open): (&SetAttributes, bool),
        operation: &mut Option<Operation>,
    ) -> Result<Option<u64>> {
        let names = self.keys.names()?;
        let mut state = inode.lock();
        let record = state.record()?;
        check_allowed(record, cx.credentials, set, by_open)?;
        if set.is_empty() {
            cx.watermark.raise(state.unsynced);
            return Ok(None);
        }
        if let Some(size) = set.size
            && size < record.size
            && let Some(missing) = state.file.missing_window(size, size + 1)
        {
            return Ok(Some(missing));
        }
        let mut operation = operation.take().ok_or(FsError::Delay)?;
        // From here on nothing fails.
        let now = self.env.wall();
        if let Some(size) = set.size {
            self.set_size(&mut state, &names, size, &mut operation)?;
        }
        let record = state.record_mut()?;
        apply(record, cx.credentials, set, now);
        record.change = self.counters.change();
        state.put_record(&self.counters, &names, &mut operation);
        let position = self.enqueue(operation, cx);
        state.entered(position);
        if set.mode.is_some() || set.uid.is_some() || set.gid.is_some() {
            state.rights = position;
        }
        Ok(None)
    }

    fn set_size(&self, state: &mut State, names: &Names, size: u64, operation: &mut Operation) -> Result<()> {
        let record = state.record_mut()?;
        let old = std::mem::replace(&mut record.size, size);
        let entries = record.entries;
        let fileid = record.fileid;
        let before = state.file.dirty.bytes();
        state.file.dirty.clear(size, u64::MAX);
        self.budget.change_dirty(before, state.file.dirty.bytes());
        state.file.flushed_size = size;
        if size >= old {
            return Ok(());
        }
        let boundary = size / WINDOW;
        let all_known = state.file.missing_window(size, old.max(size + 1)).is_none();
        let removed = state.file.entries(size, u64::MAX).count() as u64;
        if all_known && removed <= CUT_AT_ONCE {
            for window in state.windows_from(boundary) {
                state.cut_window(names, window, size, operation)?;
            }
            return Ok(());
        }
        // The visible change is this step; the reaper does the rest.
        state.cut_window(names, boundary, size, operation)?;
        if entries > 0 {
            let trim = Trim { from: (boundary + 1) * WINDOW, before: self.counters.extent_next() };
            state.file.trims.retain(|older| older.from < trim.from);
            state.file.trims.push(trim);
            operation.put_orphan(fileid, &state.orphan());
            self.orphans.lock().insert(fileid);
            self.reap.lock().push(fileid);
            self.reaper.notify_one();
        }
        Ok(())
    }
}

fn check_allowed(record: &InodeRecord, who: &Credentials, set: &SetAttributes, by_open: bool) -> Result<()> {
    if set.size.is_some() {
        match check_regular(record) {
            Err(FsError::WrongType | FsError::IsSymlink) => return Err(FsError::Invalid),
            other => other?,
        }
        if !by_open {
            permission::check(record, who, WRITE)?;
        }
    }
    if set.mode.is_some() && !owns(record, who) {
        return Err(FsError::NotOwner);
    }
    if let Some(uid) = set.uid
        && who.uid != 0
        && !(uid == record.uid && owns(record, who))
    {
        return Err(FsError::NotOwner);
    }
    if let Some(gid) = set.gid
        && who.uid != 0
        && !(owns(record, who) && (gid == record.gid || who.in_group(gid)))
    {
        return Err(FsError::NotOwner);
    }
    for time in [set.atime, set.mtime].into_iter().flatten() {
        match time {
            SetTime::Client(_) if !owns(record, who) => return Err(FsError::NotOwner),
            SetTime::Server if !owns(record, who) => permission::check(record, who, WRITE)?,
            SetTime::Client(_) | SetTime::Server => {}
        }
    }
    Ok(())
}

fn apply(record: &mut InodeRecord, who: &Credentials, set: &SetAttributes, now: WallTime) {
    let time = |choice: SetTime| match choice {
        SetTime::Server => now,
        SetTime::Client(time) => time,
    };
    let chown = set.uid.is_some_and(|uid| uid != record.uid) || set.gid.is_some_and(|gid| gid != record.gid);
    if let Some(uid) = set.uid {
        record.uid = uid;
    }
    if let Some(gid) = set.gid {
        record.gid = gid;
    }
    if (chown || (set.size.is_some() && who.uid != 0)) && record.kind != Kind::Directory {
        record.mode = without_set_id(record.mode);
    }
    if let Some(mode) = set.mode {
        record.mode = u16::try_from(mode & 0o7777).unwrap_or(0);
        // Set-group-ID for a group that the caller is not in is not the caller's to give.
        if record.kind != Kind::Directory && who.uid != 0 && !who.in_group(record.gid) {
            record.mode &= !SET_GROUP;
        }
    }
    if set.size.is_some() {
        record.mtime = now;
    }
    if let Some(atime) = set.atime {
        record.atime = time(atime);
    }
    if let Some(mtime) = set.mtime {
        record.mtime = time(mtime);
    }
    record.ctime = now;
}
