//! Cleaner and packer (Architecture section 3): dead space in segments comes back, and inline bytes move into segments before
//! the engine has to carry them around.
//!
//! Both move sealed bytes as they are, without the data key, and commit by compare: under the file's lock only those map
//! entries are pointed elsewhere that still say what was copied. A segment goes when nothing durable and nothing on its
//! way into the map names it. Two tasks of each file system do it: the packer, which keeps up with clients, and the cleaner,
//! which gives way to them.

mod inline;
mod merge;
mod placing;
mod relocate;
mod stock;
mod sweep;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use env::Instant;
use parking_lot::Mutex;
use storage::SegmentId;
use tokio::sync::Notify;

use self::{inline::Outstanding, placing::Placing, stock::Effort};
pub(crate) use self::{inline::Packed, relocate::Move};
use crate::{FileSystem, FsError, Result, core::Core, keys, operation::Operation};

/// How often the tasks look whether there is something to do, unless they know that there is not.
const TICK: Duration = Duration::from_secs(1);

/// Stock is taken no more often while clients work, unless they have put a good deal into segments.
const STOCK_EVERY: Duration = Duration::from_secs(2);

/// Without changes by clients for so long a file system counts as idle.
const IDLE_AFTER: Duration = Duration::from_secs(5);

/// So many map entries of small runs are a reason to look for windows to merge.
const SCATTERED_MANY: u64 = 4096;

/// What the task knows, and what flushes tell it.
pub(crate) struct Cleaner {
    /// Sealed bytes on their way into the map.
    pub(crate) placing: Placing,
    /// Inline extents to be packed.
    pub(crate) outstanding: Mutex<Outstanding>,
    /// The first of them is there.
    arrived: Notify,
    /// So many of them that they are packed at once.
    wake: Notify,
    /// Bytes that clients and the packer have put into segments since stock was taken last.
    put: AtomicU64,
    /// Enough of them to look at once.
    look: Notify,
    /// Operations of the task's own in the queue, so that they do not count as clients' work.
    own: AtomicU64,
    /// Map entries of small runs that came since somebody last looked for windows with too many.
    scattered: AtomicU64,
    /// Held by whoever packs: one at a time.
    packing: tokio::sync::Mutex<()>,
    /// Held by whoever merges and empties segments: one at a time.
    turn: tokio::sync::Mutex<()>,
    /// Segments that cannot be emptied: something in them cannot be read. They are left to `fsck`.
    stuck: Mutex<HashSet<SegmentId>>,
}

/// What the task remembers from one look to the next.
struct Seen {
    /// The last place in the queue that was a client's.
    last: u64,
    /// When that was seen first.
    since: Instant,
    /// When stock was taken last, and at which place in the queue.
    stock: Option<(Instant, u64)>,
    /// When windows to merge were looked for last.
    merged: Option<Instant>,
    /// Nothing will be due while this is the last place in the queue.
    rests: Option<u64>,
}

/// What a task has complained about last: the same is not said again.
#[derive(Default)]
struct Complaint(Option<String>);

impl Complaint {
    /// Whether the task is over with what it has come to.
    fn ends(&mut self, file_system: &str, done: Result<()>) -> bool {
        match done {
            Ok(()) => self.0 = None,
            Err(FsError::Failed) => return true,
            // Sealed, or no room: later.
            Err(FsError::Sealed(_) | FsError::Delay | FsError::NoSpace) => {}
            Err(error) => {
                let text = error.to_string();
                if self.0.as_ref() != Some(&text) {
                    tracing::error!(file_system, %error, "dead space is not reclaimed now");
                }
                self.0 = Some(text);
            }
        }
        false
    }
}

impl Cleaner {
    pub(crate) fn new() -> Self {
        Self {
            placing: Placing::new(),
            outstanding: Mutex::default(),
            arrived: Notify::new(),
            wake: Notify::new(),
            put: AtomicU64::new(0),
            look: Notify::new(),
            own: AtomicU64::new(0),
            scattered: AtomicU64::new(0),
            packing: tokio::sync::Mutex::const_new(()),
            turn: tokio::sync::Mutex::const_new(()),
            stuck: Mutex::default(),
        }
    }

    /// So many map entries came into one window, or into several; few in each are as they should be.
    pub(crate) fn placed(&self, entries: usize) {
        self.scattered.fetch_add(entries as u64, Ordering::Relaxed);
    }

    /// So many bytes were put into segments: as many others may be dead now. The task looks at once when `enough` have come.
    pub(crate) fn put(&self, bytes: usize, enough: u64) {
        let bytes = bytes as u64;
        let before = self.put.fetch_add(bytes, Ordering::Relaxed);
        if before < enough && before + bytes >= enough {
            self.look.notify_one();
        }
    }

    /// An inline extent has its place in the queue now.
    pub(crate) fn placed_inline(&self, packed: Packed, now: Instant, enough: usize) {
        let (first, bytes) = {
            let mut outstanding = self.outstanding.lock();
            (outstanding.is_empty(), outstanding.push(packed, now))
        };
        if first {
            self.arrived.notify_one();
        }
        if bytes >= enough {
            self.wake.notify_one();
        }
    }
}

impl FileSystem {
    /// Packs inline bytes, merges what is scattered and gives back dead space now, as it is otherwise done in the background.
    ///
    /// # Errors
    /// [`FsError::Sealed`], [`FsError::Failed`], or what could not be read; what was done until then is done.
    pub async fn reclaim(&self) -> Result<()> {
        self.core.reclaim().await
    }
}

impl Core {
    /// Runs until the file system ends.
    pub(crate) async fn run_cleaner(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        let now = self.env.now();
        let mut seen = Seen { last: 0, since: now, stock: None, merged: None, rests: None };
        let mut complaint = Complaint::default();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.next_look(seen.rests) => {}
                () = self.cleaner.look.notified() => {}
            }
            let done = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                done = self.clean(&mut seen) => done,
            };
            if complaint.ends(&self.id, done) {
                return;
            }
        }
    }

    /// The time to look again. A thousand idle file systems must not cost a thousand looks each second.
    async fn next_look(&self, rests: Option<u64>) {
        if let Some(position) = rests {
            self.queue.changed_since(position).await;
        }
        self.env.tick(TICK).await;
    }

    /// Whether it is time for anything of this: not sealed, and what is counted has been read.
    fn may_clean(&self) -> Result<bool> {
        self.enter()?;
        Ok(self.ready.load(Ordering::Acquire))
    }

    async fn clean(&self, seen: &mut Seen) -> Result<()> {
        seen.rests = None;
        if !self.may_clean()? {
            return Ok(());
        }
        let _turn = self.cleaner.turn.lock().await;
        let now = self.env.now();
        let clients = self.clients_last();
        if clients != seen.last {
            (seen.last, seen.since) = (clients, now);
        }
        let idle = now.since(seen.since) >= IDLE_AFTER;
        let last = self.queue.last();
        let due = seen.stock.is_none_or(|(at, position)| {
            // Once more when it has become quiet: then less dead space is put up with.
            (position != last || at < seen.since + IDLE_AFTER) && now.since(at) >= STOCK_EVERY
        });
        if !due && self.cleaner.put.load(Ordering::Relaxed) < self.settings.dead_slack_bytes {
            let quiet = seen.stock.filter(|(at, _)| *at >= seen.since + IDLE_AFTER);
            seen.rests = quiet.map(|(_, position)| position);
            return Ok(());
        }
        seen.stock = Some((now, last));
        let effort = match (self.shard.space().reserve_reached, idle) {
            (true, _) => Effort::Full,
            (false, true) => Effort::Idle,
            (false, false) => Effort::Busy,
        };
        self.empty_segments(effort).await?;
        if effort == Effort::Idle && self.cleaner.scattered.load(Ordering::Relaxed) >= SCATTERED_MANY {
            let rested = seen.merged.is_none_or(|at| now.since(at) >= self.settings.merge_age);
            if rested {
                seen.merged = Some(now);
                self.merge_windows().await?;
            }
        }
        Ok(())
    }

    /// Does at once what the task would come to if clients were idle for long enough.
    async fn reclaim(&self) -> Result<()> {
        self.enter()?;
        let _packing = self.cleaner.packing.lock().await;
        let _turn = self.cleaner.turn.lock().await;
        self.pack_leftovers().await?;
        self.merge_windows().await?;
        // Until nothing changes: what is being removed by others meanwhile cannot be moved.
        let mut left = None;
        loop {
            let now = self.empty_segments(Effort::Idle).await?;
            if now.is_none() || now == left {
                break;
            }
            left = now;
            tokio::task::yield_now().await;
        }
        self.queue.durable(self.queue.last()).await
    }

    /// Removes dead segments, and empties those in which too much is dead. How many there were of these, and what is dead
    /// after it.
    async fn empty_segments(&self, effort: Effort) -> Result<Option<(usize, u64)>> {
        self.cleaner.put.store(0, Ordering::Relaxed);
        let stock = self.take_stock().await?;
        let freed = self.delete_dead(&stock).await?;
        let victims = stock.without(&freed).victims(effort, self.settings.dead_slack_bytes);
        if victims.segments.is_empty() {
            return Ok(None);
        }
        self.sweep(&victims).await?;
        let stock = self.take_stock().await?;
        let freed = self.delete_dead(&stock).await?;
        Ok(Some((victims.segments.len(), stock.without(&freed).dead_bytes())))
    }

    /// The last place in the queue, not counting the task's own.
    fn clients_last(&self) -> u64 {
        self.queue.last().saturating_sub(self.cleaner.own.load(Ordering::Relaxed))
    }

    /// Whether a client has changed something since the place `clients` was the last.
    fn clients_work(&self, clients: u64) -> bool {
        self.clients_last() != clients
    }

    /// Puts an operation of the task's own into the queue.
    fn push_own(&self, operation: Operation) -> u64 {
        self.cleaner.own.fetch_add(1, Ordering::Relaxed);
        self.queue.push(operation)
    }

    /// Removes segments that nothing names. Which ones.
    async fn delete_dead(&self, stock: &stock::Stock) -> Result<Vec<SegmentId>> {
        let mut dead = stock.dead();
        if dead.is_empty() && stock.missing.is_empty() {
            return Ok(dead);
        }
        // What is on its way into the map may name them: it began before they were seen to be closed. Later flushes go
        // elsewhere.
        self.cleaner.placing.settled().await;
        self.queue.durable(self.queue.last()).await?;
        {
            let totals = self.totals.lock();
            let is_dead = |segment: &SegmentId| totals.live.get(segment).is_none_or(|live| *live == 0);
            dead.retain(is_dead);
        }
        // The totals run ahead of the disk: nothing durable names them from here on, and nothing comes back to life, since
        // only what is named can be named again.
        self.queue.durable(self.queue.last()).await?;
        let mut operation = Operation::new(self.queue.admit().await, None);
        for segment in dead.iter().chain(&stock.missing).take(500) {
            self.segments.delete(*segment).await?;
            if self.totals.lock().live.remove(segment).is_some() {
                operation.delete(keys::live(*segment));
            }
        }
        if !operation.changes.is_empty() {
            self.push_own(operation);
        }
        Ok(dead)
    }
}
