//! The janitor: flushes unstable data that is old, and keeps caches within the process's bounds.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use crate::core::Core;

/// So many looks for each span of [`Settings::dirty_age`](crate::Settings::dirty_age).
const LOOKS: u32 = 5;

/// After so many looks that found nothing to look after it rests, until there is something: a thousand file systems that nobody
/// uses must not cost a thousand looks each second.
const RESTS_AFTER: u32 = 5;

/// Between the janitor and whoever gives it something to look after.
#[derive(Default)]
pub(crate) struct Janitor {
    rests: AtomicBool,
    stirred: Notify,
}

impl Core {
    /// A file has unstable data.
    pub(crate) fn is_dirty(&self, fileid: u64) {
        self.dirty.lock().insert(fileid);
        self.stir_janitor();
    }

    /// There is something to look after. Called when it is there for the janitor to see.
    pub(crate) fn stir_janitor(&self) {
        // Most of the time it does not rest.
        if self.janitor.rests.load(Ordering::Relaxed) && self.janitor.rests.swap(false, Ordering::Relaxed) {
            self.janitor.stirred.notify_one();
        }
    }

    /// Unstable data ages, a share of the plaintext cache can become less, and who is pressed gives back.
    fn has_to_look(&self) -> bool {
        !self.dirty.lock().is_empty() || !self.plain.is_empty() || self.budget.is_pressed()
    }

    /// Runs until the file system ends.
    pub(crate) async fn run_janitor(self: Arc<Self>) {
        let mut stop = self.stop.subscribe();
        let sweeping = Arc::new(AtomicBool::new(false));
        let mut quiet = 0;
        loop {
            let mut pressed = pin!(self.budget.pressed.notified());
            pressed.as_mut().enable();
            // Said first, then looked: what comes after the look finds it said, since both go through the same locks.
            self.janitor.rests.store(quiet >= RESTS_AFTER, Ordering::Relaxed);
            if quiet >= RESTS_AFTER && !self.has_to_look() {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = self.janitor.stirred.notified() => {}
                    () = pressed => {}
                }
            }
            self.janitor.rests.store(false, Ordering::Relaxed);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.env.tick(self.settings.dirty_age / LOOKS) => {}
            }
            quiet = if self.has_to_look() { 0 } else { quiet.saturating_add(1) };
            self.trim_caches();
            if self.dirty.lock().is_empty() || sweeping.swap(true, Ordering::AcqRel) {
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
