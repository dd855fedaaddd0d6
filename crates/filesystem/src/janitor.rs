//! The janitor: flushes unstable data that is old, and keeps caches within the process's bounds.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use crate::core::Core;

/// So many looks for each span of [`Settings::dirty_age`](crate::Settings::dirty_age).
const LOOKS: u32 = 5;

/// After so many looks that found no unstable data the next ones come at twice the age: caches of a file system at rest are
/// trimmed later, and a thousand of them cost next to nothing.
const RESTS_AFTER: u32 = 5;

/// Between the janitor and whoever writes.
#[derive(Default)]
pub(crate) struct Janitor {
    /// It expects no unstable data. Changed under the lock of the list of files with some.
    rests: AtomicBool,
    stirred: Notify,
}

impl Core {
    /// A file has unstable data.
    pub(crate) fn is_dirty(&self, fileid: u64) {
        let mut dirty = self.dirty.lock();
        dirty.insert(fileid);
        let rested = self.janitor.rests.load(Ordering::Relaxed);
        if rested {
            self.janitor.rests.store(false, Ordering::Relaxed);
            self.janitor.stirred.notify_one();
        }
    }

    /// Runs until the file system ends.
    pub(crate) async fn run_janitor(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        let age = self.settings.dirty_age;
        let sweeping = Arc::new(AtomicBool::new(false));
        let mut quiet = 0;
        loop {
            let pause = if quiet < RESTS_AFTER { age / LOOKS } else { age * 2 };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.env.tick(pause) => {}
                () = self.janitor.stirred.notified() => {
                    quiet = 0;
                    continue;
                }
            }
            self.trim_caches();
            {
                let dirty = self.dirty.lock();
                quiet = if dirty.is_empty() { quiet.saturating_add(1) } else { 0 };
                self.janitor.rests.store(quiet >= RESTS_AFTER, Ordering::Relaxed);
            }
            if quiet > 0 || sweeping.swap(true, Ordering::AcqRel) {
                continue;
            }
            let (core, sweeping) = (self.clone(), sweeping.clone());
            tokio::spawn(async move {
                core.flush_old().await;
                sweeping.store(false, Ordering::Release);
            });
        }
    }
}
