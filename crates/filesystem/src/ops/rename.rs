//! Renaming, within a directory or across.

use std::sync::Arc;

use crate::{
    ChangeInfo, Context, FileSystem, FsError, Kind, Name, Node, Result,
    core::Core,
    directory::{NewEntry, Probe},
    inode::{Inode, Locked},
    names::Names,
    open::ROOT,
    operation::Operation,
    ops::create::signed,
    permission::{self, WRITE},
    record::InodeRecord,
};

/// What a rename did.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// The change attribute of the directory the object left.
    pub from: ChangeInfo,
    /// The change attribute of the directory the object is in now.
    pub to: ChangeInfo,
    /// The object that the new name led to before, if there was another one.
    pub replaced: Option<Node>,
}

/// Everything a rename touches.
struct Parties<'a> {
    from: &'a Arc<Inode>,
    to: &'a Arc<Inode>,
    source: &'a Arc<Inode>,
    target: Option<&'a Arc<Inode>>,
    old: &'a Name<'a>,
    new: &'a Name<'a>,
}

/// Where the names are.
enum NewPlace {
    Taken(u64),
    Free((u64, u64)),
}

impl FileSystem {
    /// Gives the object at `old` in `from` the name `new` in `to`, replacing what has that name.
    ///
    /// # Errors
    /// [`FsError::NotFound`], [`FsError::Exists`] if the two are of types that do not replace each other,
    /// [`FsError::NotEmpty`], [`FsError::Invalid`] for a directory moved under itself, and others.
    pub async fn rename(
        &self,
        cx: &Context<'_>,
        from: &Node,
        old: &Name<'_>,
        to: &Node,
        new: &Name<'_>,
    ) -> Result<Renamed> {
        let core = &self.core;
        core.check_name(old)?;
        core.check_name(new)?;
        let renamed = core.rename(cx, from, old, to, new).await;
        if renamed.is_err() {
            // A refusal may come from any object on the way to the root; it is too rare to ask which.
            cx.watermark.raise(core.queue.last());
        }
        renamed
    }
}

impl Core {
    async fn rename(
        &self,
        cx: &Context<'_>,
        from: &Node,
        old: &Name<'_>,
        to: &Node,
        new: &Name<'_>,
    ) -> Result<Renamed> {
        let mut operation = Some(self.begin(cx, true).await?);
        // Directories move across parents one at a time, so that no two moves can make a circle.
        let mut moving = None;
        loop {
            let entry = self.find(cx, from, old).await?;
            let target = match self.find(cx, to, new).await {
                Ok(target) => Some(target.fileid),
                Err(FsError::NotFound) => None,
                Err(error) => return Err(error),
            };
            if entry.kind == Kind::Directory && from.fileid() != to.fileid() {
                if moving.is_none() {
                    moving = Some(self.moving.lock().await);
                    continue;
                }
                self.check_ancestors(entry.fileid, to).await?;
            }
            let (source, target) = match (self.node(entry.fileid).await, self.optional_node(target).await) {
                (Err(FsError::Stale), _) | (_, Err(FsError::Stale)) => continue,
                (source, target) => (source?, target?),
            };
            if let Some(target) = &target {
                self.prepare_removal(&target.inode).await?;
            }
            let parties = Parties {
                from: &from.inode,
                to: &to.inode,
                source: &source.inode,
                target: target.as_ref().map(|target| &target.inode),
                old,
                new,
            };
            if let Some((from, to)) = self.try_rename(cx, &parties, &mut operation)? {
                let replaced = target.filter(|target| *target != source);
                if let Some(replaced) = &replaced {
                    self.after_removal(&replaced.inode);
                }
                return Ok(Renamed { from, to, replaced });
            }
        }
    }

    async fn optional_node(&self, fileid: Option<u64>) -> Result<Option<Node>> {
        match fileid {
            Some(fileid) => self.node(fileid).await.map(Some),
            None => Ok(None),
        }
    }

    /// A directory does not move under itself. The lock on moves keeps the way to the root as it is.
    async fn check_ancestors(&self, moved: u64, to: &Node) -> Result<()> {
        let mut at = to.fileid();
        for _ in 0..=u16::MAX {
            if at == moved {
                return Err(FsError::Invalid);
            }
            if at == ROOT {
                return Ok(());
            }
            let node = self.node(at).await?;
            at = node.inode.lock().record()?.parent;
        }
        Err(FsError::Io("directories that contain each other".into()))
    }

    fn try_rename(
        &self,
        cx: &Context<'_>,
        parties: &Parties<'_>,
        operation: &mut Option<Operation>,
    ) -> Result<Option<(ChangeInfo, ChangeInfo)>> {
        let names = self.keys.names()?;
        let mut all: Vec<&Inode> = vec![parties.from, parties.to, parties.source];
        all.extend(parties.target.map(|target| &**target));
        let mut locked = Locked::all(&all);
        let Some((cookie, place)) = places(&mut locked, parties, &names) else { return Ok(None) };
        let from = locked.of(parties.from).record()?.clone();
        let to = locked.of(parties.to).record()?.clone();
        let source = locked.of(parties.source).record()?.clone();
        let unchanged = |record: &InodeRecord| ChangeInfo { before: record.change, after: record.change, atomic: true };
        if parties.target.is_some_and(|target| target.fileid == source.fileid) {
            // Two names of one object: POSIX says nothing happens.
            cx.watermark.raise(locked.of(parties.source).unsynced);
            return Ok(Some((unchanged(&from), unchanged(&to))));
        }
        self.check_rename(cx, parties, &mut locked)?;
        let mut operation = operation.take().ok_or(FsError::Delay)?;
        // From here on nothing fails.
        let now = self.env.wall();
        // The new entry first: if it went past the old one, the old one leaves a marker.
        let state = locked.of(parties.to);
        match place {
            NewPlace::Taken(at) => state.replace_entry(&names, at, (source.fileid, source.kind), &mut operation)?,
            NewPlace::Free(at) => {
                let entry = NewEntry { name: parties.new.bytes(), fileid: source.fileid, kind: source.kind };
                state.insert_entry(&names, at, entry, &mut operation)?;
            }
        }
        locked.of(parties.from).remove_entry(&names, cookie, &mut operation)?;
        self.count_links(&mut locked, parties, source.kind == Kind::Directory)?;
        self.touch_parents(&mut locked, parties, (&from, &to), &names, &mut operation)?;
        if let Some(target) = parties.target {
            self.unlink(locked.of(target), &names, now, &mut operation)?;
        }
        let state = locked.of(parties.source);
        let record = state.record_mut()?;
        record.ctime = now;
        record.change = self.counters.change();
        if record.kind == Kind::Directory {
            record.parent = to.fileid;
            record.depth = to.depth.saturating_add(1);
        }
        state.put_record(&self.counters, &names, &mut operation);
        let position = self.enqueue(operation, cx);
        for inode in all {
            locked.of(inode).entered(position);
        }
        let from_after = locked.of(parties.from).record()?.change;
        let to_after = locked.of(parties.to).record()?.change;
        Ok(Some((
            ChangeInfo { before: from.change, after: from_after, atomic: true },
            ChangeInfo { before: to.change, after: to_after, atomic: true },
        )))
    }

    fn touch_parents(
        &self,
        locked: &mut Locked<'_>,
        parties: &Parties<'_>,
        (from, to): (&InodeRecord, &InodeRecord),
        names: &Names,
        operation: &mut Operation,
    ) -> Result<()> {
        let now = self.env.wall();
        for (inode, before) in [(parties.from, from), (parties.to, to)] {
            let record = locked.of(inode).record_mut()?;
            // Of one directory renamed within, this comes twice and counts once.
            if record.change == before.change {
                record.change = self.counters.change();
                record.mtime = now;
                record.ctime = now;
                operation.usage.data += signed(record.space_used()) - signed(before.space_used());
            }
        }
        locked.of(parties.from).put_record(&self.counters, names, operation);
        if parties.to.fileid != parties.from.fileid {
            locked.of(parties.to).put_record(&self.counters, names, operation);
        }
        Ok(())
    }

    fn check_rename(&self, cx: &Context<'_>, parties: &Parties<'_>, locked: &mut Locked<'_>) -> Result<()> {
        let who = cx.credentials;
        let from = locked.of(parties.from).record()?.clone();
        let to = locked.of(parties.to).record()?.clone();
        let source = locked.of(parties.source).record()?.clone();
        permission::check_change(&from, who)?;
        permission::check_change(&to, who)?;
        permission::check_sticky(&from, &source, who)?;
        let directory = source.kind == Kind::Directory;
        if directory && from.fileid != to.fileid {
            // Its parent entry changes.
            permission::check(&source, who, WRITE)?;
            if to.depth >= self.settings.depth_max {
                return Err(FsError::NameTooLong);
            }
        }
        let Some(target) = parties.target else { return Ok(()) };
        let target_state = locked.of(target);
        let target = target_state.record()?;
        permission::check_sticky(&to, target, who)?;
        if (target.kind == Kind::Directory) != directory {
            return Err(FsError::Exists);
        }
        if target.kind == Kind::Directory && target.entries > 0 {
            return Err(FsError::NotEmpty);
        }
        if target_state.needs_markers() {
            return Err(FsError::Delay);
        }
        Ok(())
    }

    fn count_links(&self, locked: &mut Locked<'_>, parties: &Parties<'_>, directory: bool) -> Result<()> {
        if directory {
            locked.of(parties.from).record_mut()?.links -= 1;
            // The target, if there is one, was counted already.
            if parties.target.is_none() {
                locked.of(parties.to).record_mut()?.links += 1;
            }
        }
        Ok(())
    }
}

/// The cookie of the old entry and the place of the new one, if both are known and still lead to the parties.
fn places(locked: &mut Locked<'_>, parties: &Parties<'_>, names: &Names) -> Option<(u64, NewPlace)> {
    let gone = |locked: &mut Locked<'_>, inode: &Inode| locked.of(inode).is_gone();
    if gone(locked, parties.source) || parties.target.is_some_and(|target| gone(locked, target)) {
        return None;
    }
    let cookie = match locked.of(parties.from).directory.probe(names, parties.old.bytes()) {
        Probe::Found { cookie, entry } if entry.fileid == parties.source.fileid => cookie,
        _ => return None,
    };
    let place = match (locked.of(parties.to).directory.probe(names, parties.new.bytes()), parties.target) {
        (Probe::Found { cookie, entry }, Some(target)) if entry.fileid == target.fileid => NewPlace::Taken(cookie),
        (Probe::Absent { free, base, .. }, None) => NewPlace::Free((free, base)),
        _ => return None,
    };
    Some((cookie, place))
}
