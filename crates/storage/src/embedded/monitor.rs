//! One thread for the whole engine that looks after what no shard can see of itself: a commit that hangs, and the
//! memtables of all shards together.

use std::{
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use parking_lot::Mutex;

use super::{COMMIT_LIMIT, EngineInner, core::Core, pool};
use crate::StorageError;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// While the memtables are so far from their bound that they cannot come to it meanwhile: a thousand shards at rest must cost next
/// to nothing.
const LOOK_EVERY_QUIET: Duration = Duration::from_secs(1);

/// The shards that are open.
#[derive(Default)]
pub(crate) struct Watched(Mutex<Vec<Weak<Core>>>);

impl Watched {
    pub(crate) fn add(&self, core: &Arc<Core>) {
        self.0.lock().push(Arc::downgrade(core));
    }

    pub(crate) fn open(&self) -> Vec<Arc<Core>> {
        let mut shards = self.0.lock();
        shards.retain(|core| core.strong_count() > 0);
        shards.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Starts the thread. It ends with the engine.
pub(crate) fn start(engine: &Arc<EngineInner>) -> Result<(), StorageError> {
    let engine = Arc::downgrade(engine);
    pool::spawn("storage-watch", move || {
        while let Some(engine) = engine.upgrade() {
            let pause = look(&engine);
            drop(engine);
            thread::sleep(pause);
        }
    })?;
    Ok(())
}

/// When to look again.
fn look(engine: &EngineInner) -> Duration {
    let open = engine.shards.open();
    let now = engine.env.now();
    for core in &open {
        let late = [(&core.queue.busy, "a commit"), (&core.health.segments, "a write of segments")];
        if let Some((_, what)) = late.into_iter().find(|(watch, _)| watch.is_overdue(now)) {
            core.health.fail(&format!("{what} took longer than {} s", COMMIT_LIMIT.as_secs()));
            core.queue.fail_all();
        }
    }
    let mut all = 0;
    let mut largest: Option<(u64, &Arc<Core>)> = None;
    for core in &open {
        let bytes = core.memtable_bytes();
        all += bytes;
        if largest.is_none_or(|(most, _)| bytes > most) {
            largest = Some((bytes, core));
        }
    }
    if let Some((_, largest)) = largest.filter(|_| all > engine.budgets.memtable_bytes) {
        largest.queue.request_flush();
    }
    if all < engine.budgets.memtable_bytes / 8 { LOOK_EVERY_QUIET } else { LOOK_EVERY }
}
