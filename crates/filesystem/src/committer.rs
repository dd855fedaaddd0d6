//! The committer: one task that drains the queue of operations, in order, into durable batches (Architecture section 3).
//! It is there while operations wait, on the thread where the first of them came from, so that a lone client's
//! operation wakes no other thread than the one that writes.
//!
//! Group commit across all clients is this and nothing else. A batch that fails fails the shard.

mod group;
mod queue;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use env::Instant;
use storage::{Batch, CommitError, Keyspace, Limits, SegmentId};
use zeroize::Zeroizing;

use self::group::Group;
pub(crate) use self::queue::Queue;
use crate::{Result, core::Core, keys, lease::Which, operation::Operation, record::Usage, reply::HOLD_MAX};

/// Room kept in a batch for totals, counters and replies.
const SPARE_KEYS: usize = 8;

/// How soon a batch is tried again for which there was no room, or no key.
const RETRY: Duration = Duration::from_millis(250);

/// Totals as of the last batch that was built.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) usage: Usage,
    pub(crate) live: HashMap<SegmentId, i64>,
}

/// The committer's task. If it does not come to its own end, with the runtime it was on, nobody may wait for it.
struct Turn {
    core: Arc<Core>,
    over: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            self.core.queue.fail();
        }
    }
}

impl Core {
    /// Makes an operation durable that has no part in the order: a record of the protocol server, or the removal of one.
    /// While the metadata key is withheld nothing can be sealed, so nobody waits for it.
    ///
    /// # Errors
    /// [`Sealed`](crate::FsError::Sealed): it may become durable yet, when the key is back. [`Failed`](crate::FsError::Failed).
    pub(crate) async fn commit_aside(&self, operation: Operation) -> Result<()> {
        tokio::select! {
            done = self.queue.commit_aside(operation) => done,
            () = self.keys.metadata_gone() => Err(self.keys.sealed()),
        }
    }

    /// From now on operations are committed, and the file system fails when its shard is fenced.
    pub(crate) fn start_committer(self: &Arc<Self>) {
        // A second start changes nothing.
        let _ = self.queue.core.set(Arc::downgrade(self));
        self.queue.wake();
        let (core, mut fenced, mut stop) = (self.clone(), self.shard.fenced(), self.stop.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                fenced = fenced.wait_for(|fenced| *fenced) => {
                    if fenced.is_ok() {
                        tracing::error!(file_system = %core.id, "the shard is fenced");
                    }
                    drop(fenced);
                    core.queue.fail();
                }
            }
        });
    }

    /// Runs until nothing waits, or the file system fails.
    async fn run_committer(self: Arc<Self>) {
        let mut turn = Turn { core: self, over: false };
        let core = turn.core.clone();
        while !core.queue.stopped.load(Ordering::Relaxed) {
            match core.take_group() {
                Ok(group) => {
                    if !core.commit_group(group).await {
                        core.queue.fail();
                    }
                }
                Err(Some(deadline)) => tokio::select! {
                    () = core.queue.wake.notified() => {}
                    () = core.env.sleep_until(deadline) => {}
                },
                Err(None) => {
                    core.queue.running.store(false, Ordering::Release);
                    // What came just before that relied on this task; what comes after it starts the next one.
                    if core.queue.is_empty() || core.queue.running.swap(true, Ordering::AcqRel) {
                        break;
                    }
                }
            }
        }
        turn.over = true;
    }

    /// The operations to commit next, or until when to wait for the reply of the first one.
    fn take_group(&self) -> std::result::Result<Group, Option<Instant>> {
        let limits = self.shard.limits();
        let mut group = Group::default();
        self.take_aside(&mut group, &limits);
        let mut waiting = self.queue.waiting.lock();
        // Nothing is merged under the queue's lock: whoever enters holds the locks of inodes.
        let mut taken = Vec::new();
        let mut position = waiting.last - waiting.operations.len() as u64;
        while let Some(first) = waiting.operations.front() {
            let pending = first.reply.as_ref().is_some_and(|hold| hold.pending());
            if pending {
                if !group.is_empty() || !taken.is_empty() {
                    break;
                }
                // Only a wait that does not end costs a clock reading each time round.
                let now = self.env.now();
                let mut held_since = self.held_since.lock();
                let since = match *held_since {
                    Some((held, since)) if held == position + 1 => since,
                    _ => now,
                };
                *held_since = Some((position + 1, since));
                if now.since(since) < HOLD_MAX {
                    return Err(Some(since + HOLD_MAX));
                }
            }
            if !group.reserve(first, &limits) {
                break;
            }
            taken.extend(waiting.operations.pop_front());
        }
        drop(waiting);
        for operation in taken {
            position += 1;
            group.add(operation, position);
        }
        if group.is_empty() { Err(None) } else { Ok(group) }
    }

    fn take_aside(&self, group: &mut Group, limits: &Limits) {
        let mut aside = self.queue.aside.lock();
        let count = aside
            .iter()
            .scan((0, 0), |(bytes, keys), (operation, _)| {
                *bytes += operation.bytes();
                *keys += operation.keys();
                Some((*bytes, *keys))
            })
            .take_while(|(bytes, keys)| *bytes <= limits.group_bytes / 2 && *keys <= limits.group_keys / 2)
            .count();
        for (operation, done) in aside.drain(..count) {
            group.reserve(&operation, limits);
            group.add(operation, 0);
            group.told.push(done);
        }
    }

    /// Seals and commits one group, which stays in memory while the metadata key is withheld or the disk is full. False
    /// if the shard has failed.
    async fn commit_group(&self, mut group: Group) -> bool {
        self.add_totals(&mut group);
        let mut told = false;
        loop {
            let why = match self.seal_group(&group) {
                Err(_) => "the metadata key is withheld",
                Ok(batch) => match self.shard.commit(batch).await {
                    Ok(_) => {
                        self.settle(group);
                        return true;
                    }
                    // Not done, and no failure: nobody is answered until there is room.
                    Err(CommitError::NoSpace) => "the disk is full",
                    Err(error) => {
                        let known = !matches!(error, CommitError::Unknown(_));
                        tracing::error!(file_system = %self.id, %error, known, "a commit failed: the shard has to be reopened");
                        return false;
                    }
                },
            };
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(file_system = %self.id, why, "changes wait in memory");
            }
            self.release_charges(&mut group);
            if !self.pause().await {
                return false;
            }
        }
    }

    /// Waits a while, or until a key comes or goes. False if the file system has ended meanwhile.
    async fn pause(&self) -> bool {
        let (mut keys, mut fenced) = (self.keys.watch(), self.shard.fenced());
        tokio::select! {
            _ = keys.changed() => self.queue.check().is_ok(),
            () = self.env.sleep(RETRY) => self.queue.check().is_ok(),
            _ = fenced.wait_for(|fenced| *fenced) => false,
        }
    }

    fn release_charges(&self, group: &mut Group) {
        group.release_charges();
        let mut waiting = self.queue.waiting.lock();
        let released: Vec<_> = waiting.operations.iter_mut().filter_map(|operation| operation.charge.take()).collect();
        drop(waiting);
        drop(released);
    }

    fn add_totals(&self, group: &mut Group) {
        let mut totals = self.totals.lock();
        if !group.usage.is_zero() {
            totals.usage.add(group.usage);
            let usage = totals.usage;
            group.records.insert(Bytes::from_static(keys::USAGE), Some(Zeroizing::new(usage.encode())));
        }
        for (segment, difference) in std::mem::take(&mut group.live) {
            if difference != 0 {
                let bytes = totals.live.entry(segment).or_default();
                *bytes += difference;
                group.records.insert(keys::live(segment), Some(Zeroizing::new(bytes.to_be_bytes().to_vec())));
            }
        }
    }

    fn seal_group(&self, group: &Group) -> Result<Batch> {
        let mut batch = Batch::new(u128::from_be_bytes(self.env.random()));
        // What needs space was refused at the door when the reserve was reached.
        batch.may_use_reserve = true;
        let removals_only = group.inline.is_empty() && group.records.values().all(Option::is_none);
        if removals_only {
            for name in group.records.keys() {
                batch.delete(Keyspace::Records, name.clone());
            }
            return Ok(batch);
        }
        self.keys.with(Which::Metadata, |key, _| {
            let mut sealer = self.binding.batch(key, self.env.random());
            for (name, value) in &group.records {
                match value {
                    Some(value) => batch.put(Keyspace::Records, name.clone(), sealer.seal(name, value)),
                    None => batch.delete(Keyspace::Records, name.clone()),
                }
            }
        })?;
        for (name, value) in &group.inline {
            match value {
                Some(value) => batch.put(Keyspace::Inline, name.clone(), value.clone()),
                None => batch.delete(Keyspace::Inline, name.clone()),
            }
        }
        Ok(batch)
    }

    /// The group is durable: what was kept for it in memory goes, and who waits is told.
    fn settle(&self, group: Group) {
        for operation in &group.done {
            for extent in &operation.settled {
                self.fresh.lock().remove(extent);
            }
            if let Some(counters) = operation.reserved {
                self.counters.reserved(counters);
            }
        }
        for done in group.told {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
        self.queue.bytes.fetch_sub(group.queued, Ordering::Relaxed);
        if group.last > 0 {
            self.queue.durable.store(group.last, Ordering::Release);
        }
        self.queue.settled.notify_waiters();
    }
}
