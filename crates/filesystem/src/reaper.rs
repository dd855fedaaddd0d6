//! Large work in steps: truncations of many extents, and objects whose last name is gone (Architecture section 3). Each has
//! a durable record of what is left to do, so that a restart goes on with it.

use std::sync::{Arc, atomic::Ordering};

use storage::{Keyspace, Scan};

use crate::{
    FileSystem, FsError, Kind, Node, Result,
    core::Core,
    inode::Inode,
    keys,
    operation::Operation,
    record::{Trim, WINDOW},
};

/// Keeps an object alive while somebody has it open, with or without a name.
pub struct OpenHold {
    node: Node,
    core: Arc<Core>,
}

impl OpenHold {
    /// The object.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }
}

impl Drop for OpenHold {
    fn drop(&mut self) {
        self.node.inode.lock().holds -= 1;
        self.core.after_removal(&self.node.inode);
    }
}

impl FileSystem {
    /// Keeps the object alive until the hold is dropped, even if its last name is removed meanwhile. One for each
    /// open. An object that lost its last name before a restart is kept until
    /// [`collect_orphans`](Self::collect_orphans), or longer if somebody holds it again by then.
    #[must_use]
    pub fn hold_open(&self, node: &Node) -> OpenHold {
        node.inode.lock().holds += 1;
        OpenHold { node: node.clone(), core: self.core.clone() }
    }
}

impl Core {
    /// Whether the reaper has nothing to do.
    pub(crate) fn is_reaped(&self) -> bool {
        let reap = self.reap.lock();
        reap.is_empty() && !self.reaping.load(Ordering::Acquire)
    }

    pub(crate) async fn run_reaper(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        loop {
            let next = {
                let mut reap = self.reap.lock();
                let next = reap.pop();
                self.reaping.store(next.is_some(), Ordering::Release);
                next
            };
            let Some(fileid) = next else {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = self.reaper.notified() => continue,
                }
            };
            if *stop.borrow() {
                return;
            }
            match self.reap_one(fileid).await {
                Ok(()) => {}
                Err(FsError::Failed) => return,
                Err(error @ (FsError::Sealed(_) | FsError::Delay)) => {
                    tracing::debug!(file_system = %self.id, fileid, %error, "the reaper waits");
                    self.reap.lock().push(fileid);
                    tokio::select! {
                        _ = stop.wait_for(|stop| *stop) => return,
                        () = self.env.sleep(std::time::Duration::from_secs(1)) => {}
                    }
                }
                Err(error) => {
                    tracing::error!(file_system = %self.id, fileid, %error, "work on an object stops; fsck will find it");
                }
            }
        }
    }

    async fn reap_one(&self, fileid: u64) -> Result<()> {
        self.enter()?;
        // Its changes would wait in memory for room, and whoever reads the object with them.
        if self.shard.space().reserve_used {
            return Err(FsError::Delay);
        }
        self.reserve_counters().await?;
        let inode = self.cache.get(self, fileid);
        match self.load(&inode).await {
            Err(FsError::Stale) => return self.forget_orphan(fileid).await,
            other => other?,
        }
        let done = async {
            self.carry_out(&inode).await?;
            self.collect(&inode).await
        };
        match done.await {
            // Removed meanwhile, its orphan record with it.
            Err(FsError::Stale) => Ok(()),
            other => other,
        }
    }

    /// Removes the record of work on an object that is no longer there.
    async fn forget_orphan(&self, fileid: u64) -> Result<()> {
        if self.orphans.lock().remove(&fileid) {
            let mut operation = Operation::new(self.queue.admit().await, None);
            operation.delete(keys::orphan(fileid));
            self.queue.push(operation);
        }
        Ok(())
    }

    /// Removes an object without names that nobody holds, nor may still reclaim.
    async fn collect(&self, inode: &Inode) -> Result<()> {
        // Whoever still writes through a handle gets to the end of it first.
        let _turn = inode.flushing.lock().await;
        let rest = {
            let mut state = inode.lock();
            let Some(record) = &state.record else { return Ok(()) };
            // Asked only here, where nobody can take the last name away any more before the answer is used.
            let reclaimable = record.kind == Kind::Regular && !self.collecting.load(Ordering::Acquire);
            let wanted = state.holds > 0 || reclaimable;
            if record.links > 0 || state.gone || (wanted && !state.condemned) {
                return Ok(());
            }
            // From here on nobody can open it, so nobody sees it half removed or writes into what is going.
            state.condemned = true;
            let rest = state.remains()?.entries;
            if rest > 0 {
                state.file.trims = vec![Trim { from: 0, before: u64::MAX }];
            }
            rest
        };
        if rest > 0 {
            self.carry_out(inode).await?;
        }
        self.reserve_counters().await?;
        let mut operation = Operation::new(self.queue.admit().await, None);
        let mut state = inode.lock();
        if state.gone {
            return Ok(());
        }
        self.destroy(&mut state, &mut operation)?;
        operation.delete(keys::orphan(inode.fileid));
        let position = self.queue.push(operation);
        state.entered(position);
        drop(state);
        self.orphans.lock().remove(&inode.fileid);
        Ok(())
    }

    /// Does what truncations have left to do. Two at once do no harm.
    pub(crate) async fn carry_out(&self, inode: &Inode) -> Result<()> {
        let trims = inode.lock().file.trims.clone();
        let Some(from) = trims.iter().map(|trim| trim.from).min() else { return Ok(()) };
        let mut scan = Scan::prefix(Keyspace::Records, &keys::map_prefix(inode.fileid));
        scan.from = std::ops::Bound::Included(keys::map(inode.fileid, from));
        // What is in memory only is in no scan.
        let loaded = inode.lock().windows_from(from / WINDOW);
        for window in loaded {
            self.bury_window(inode, window).await?;
        }
        let mut last_window = None;
        loop {
            let page = self.shard.scan(scan.clone()).await?;
            for (key, _) in &page.items {
                let (_, start) = keys::numbers(key)?;
                if last_window.replace(start / WINDOW) != Some(start / WINDOW) {
                    self.bury_window(inode, start / WINDOW).await?;
                }
            }
            match page.items.last() {
                Some((last, _)) if page.more => scan = scan.after(last),
                _ => break,
            }
        }
        let mut operation = Operation::new(self.queue.admit().await, None);
        let mut state = inode.lock();
        // Unloaded meanwhile, it comes back with its trims; gone, it has no orphan record either.
        state.remains()?;
        state.file.trims.retain(|trim| !trims.contains(trim));
        let orphan = state.orphan();
        if orphan.unlinked || !orphan.trims.is_empty() {
            operation.put_orphan(inode.fileid, &orphan);
        } else {
            operation.delete(keys::orphan(inode.fileid));
            self.orphans.lock().remove(&inode.fileid);
        }
        let position = self.queue.push(operation);
        state.entered(position);
        Ok(())
    }

    async fn bury_window(&self, inode: &Inode, window: u64) -> Result<()> {
        loop {
            self.load_window(inode, window).await?;
            let mut operation = Operation::new(self.queue.admit().await, None);
            let names = self.keys.names()?;
            let mut state = inode.lock();
            if state.file.missing_window(window * WINDOW, window * WINDOW + 1).is_some() {
                continue;
            }
            state.bury(&names, window, &mut operation)?;
            if !operation.changes.is_empty() {
                state.put_record(&self.counters, &names, &mut operation);
                let position = self.queue.push(operation);
                state.entered(position);
            }
            return Ok(());
        }
    }
}
