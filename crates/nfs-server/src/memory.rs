//! The bytes that requests and replies of all connections take together. A connection whose share would begin when there are
//! too many waits with its next request; who has begun a request may end it. Connections without a session get only a part,
//! so that nobody who is no client can make clients wait.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Of the whole, what connections without a session may take.
const STRANGERS_PART: usize = 4;

/// The budget of all connections.
pub(crate) struct Memory {
    bytes_max: usize,
    all: AtomicUsize,
    strangers: AtomicUsize,
    freed: Notify,
}

/// One connection's share; dropping it gives it back.
pub(crate) struct Share {
    memory: Arc<Memory>,
    /// Whether the connection carries a session.
    session: Arc<AtomicBool>,
    mine: usize,
    counted_as_stranger: usize,
}

impl Memory {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, all: AtomicUsize::new(0), strangers: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// An empty share, for a connection that carries a session once `session` says so.
    pub(crate) fn share(self: &Arc<Self>, session: Arc<AtomicBool>) -> Share {
        Share { memory: Arc::clone(self), session, mine: 0, counted_as_stranger: 0 }
    }
}

impl Share {
    /// What the connection takes now.
    pub(crate) fn set(&mut self, bytes: usize) {
        let stranger = if self.session.load(Ordering::Relaxed) { 0 } else { bytes };
        let less = change(&self.memory.all, &mut self.mine, bytes)
            | change(&self.memory.strangers, &mut self.counted_as_stranger, stranger);
        if less {
            self.memory.freed.notify_waiters();
        }
    }

    /// Whether another request may begin.
    pub(crate) fn has_room(&self) -> bool {
        let known = self.session.load(Ordering::Relaxed);
        self.memory.all.load(Ordering::Relaxed) < self.memory.bytes_max
            && (known || self.memory.strangers.load(Ordering::Relaxed) < self.memory.bytes_max / STRANGERS_PART)
    }

    /// Ends when another request may begin.
    pub(crate) async fn room(&self) {
        loop {
            let mut freed = pin!(self.memory.freed.notified());
            freed.as_mut().enable();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Counts `mine` as `now` in the sum. Says whether that is less.
fn change(sum: &AtomicUsize, mine: &mut usize, now: usize) -> bool {
    let before = std::mem::replace(mine, now);
    if now > before {
        sum.fetch_add(now - before, Ordering::Relaxed);
    } else if now < before {
        sum.fetch_sub(before - now, Ordering::Relaxed);
    }
    now < before
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Architecture section 2.7: the bytes of all connections together are bounded, and who has no session takes only a part of them.
    #[tokio::test]
    async fn strangers_cannot_take_what_clients_need() {
        let memory = Memory::new(100);
        let session = || Arc::new(AtomicBool::new(false));
        let (first, second, client) = (session(), session(), Arc::new(AtomicBool::new(true)));
        let mut one = memory.share(Arc::clone(&first));
        let two = memory.share(second);
        let mut three = memory.share(client);
        one.set(25);
        assert!(!two.has_room() && three.has_room());
        three.set(75);
        assert!(!three.has_room());
        three.set(74);
        assert!(three.has_room() && !two.has_room());
        // With its session the first is a client, too.
        first.store(true, Ordering::Relaxed);
        one.set(25);
        assert!(two.has_room());
        three.set(80);
        let waits = two.room();
        let frees = async {
            tokio::task::yield_now().await;
            drop(one);
        };
        tokio::join!(waits, frees);
        drop(three);
        assert_eq!((memory.all.load(Ordering::Relaxed), memory.strangers.load(Ordering::Relaxed)), (0, 0));
    }
}
