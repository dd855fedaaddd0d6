//! A file system while it is open, and whether anybody uses it: one that nobody has used for a while is closed, and whoever
//! comes meanwhile waits and opens it anew. Architecture section 4, "A shard is opened".

use std::ops::Deref;
use std::sync::Arc;

use env::{Env, Instant};
use filesystem::{FileSystem, LeaseState};
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, watch};

use crate::attributes::Constants;
use crate::exports::FileSystemId;
use crate::handle::Code;
use crate::holdings::Holdings;

/// A file system while it is open.
pub(crate) struct Served {
    pub(crate) id: FileSystemId,
    pub(crate) filesystem: FileSystem,
    /// What clients hold there.
    pub(crate) holdings: Holdings,
    pub(crate) constants: Constants,
    /// Its name in the pseudo-root's handles.
    pub(crate) code: Code,
    /// Turns true when the file system failed, was dropped or is closed: connections to it end.
    pub(crate) gone: watch::Sender<bool>,
    pub(crate) uses: Mutex<Uses>,
}

impl Served {
    /// Since when nobody has used it; none while somebody does.
    fn unused_since(&self) -> Option<Instant> {
        let uses = self.uses.lock();
        (uses.count == 0).then_some(uses.last)
    }

    /// Whether nothing is left to be done there: no grace runs, every record is durable, and so is all that was written. What is
    /// sealed has nothing more to do until its keys are back, and its grace stands still.
    fn is_at_rest(&self, env: &Env) -> bool {
        let sealed = matches!(self.filesystem.lease_status().state, LeaseState::Sealed { .. });
        self.holdings.is_at_rest(env, sealed) && self.filesystem.is_at_rest()
    }

    /// For how long nobody has used it, if nothing is left to be done.
    pub(crate) fn idle_since(&self, env: &Env) -> Option<Instant> {
        self.unused_since().filter(|_| self.is_at_rest(env))
    }
}

/// Who uses a file system.
pub(crate) struct Uses {
    count: usize,
    /// When the last of them ended.
    last: Instant,
}

impl Uses {
    /// Nobody's yet.
    pub(crate) fn none(now: Instant) -> Self {
        Self { count: 0, last: now }
    }
}

/// A use of an open file system. While there is one, the file system is not closed for being idle.
pub(crate) struct Use {
    served: Arc<Served>,
    /// The clock that says when it ended; none for one that only looks, which is no reason to stay open.
    clock: Option<Env>,
}

impl Use {
    fn begin(served: &Arc<Served>, clock: Option<Env>) -> Self {
        served.uses.lock().count += 1;
        Self { served: Arc::clone(served), clock }
    }

    /// Another one, for whoever only looks.
    pub(crate) fn look(&self) -> Self {
        Self::begin(&self.served, None)
    }

    /// What is used.
    pub(crate) fn served(&self) -> &Arc<Served> {
        &self.served
    }
}

impl Deref for Use {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut uses = self.served.uses.lock();
        uses.count -= 1;
        if let Some(clock) = &self.clock {
            uses.last = clock.now();
        }
    }
}

/// The place of one file system: closed, open, or between the two, where one at a time is at work.
#[derive(Default)]
pub(crate) struct Place {
    open: Mutex<Option<Arc<Served>>>,
    turn: tokio::sync::Mutex<()>,
}

impl Place {
    /// A use of what is open.
    pub(crate) fn enter(&self, env: &Env) -> Option<Use> {
        self.open.lock().as_ref().map(|served| Use::begin(served, Some(env.clone())))
    }

    /// A look at what is open.
    pub(crate) fn look(&self) -> Option<Use> {
        self.open.lock().as_ref().map(|served| Use::begin(served, None))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.lock().is_some()
    }

    /// Waits for the turn to open it; whoever was before may have done so.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The turn, unless somebody has it.
    pub(crate) fn turn_now(&self) -> Option<MutexGuard<'_, ()>> {
        self.turn.try_lock().ok()
    }

    /// It is open now, and used.
    pub(crate) fn opened(&self, served: Arc<Served>, env: &Env) -> Use {
        let first = Use::begin(&served, Some(env.clone()));
        *self.open.lock() = Some(served);
        first
    }

    /// Takes out what is open. Whoever comes after this waits for the turn.
    pub(crate) fn take(&self) -> Option<Arc<Served>> {
        self.open.lock().take()
    }

    /// The same, if `wanted` says so; nobody begins to use it in between.
    pub(crate) fn take_if(&self, wanted: impl FnOnce(&Served) -> bool) -> Option<Arc<Served>> {
        self.open.lock().take_if(|served| wanted(served))
    }
}
