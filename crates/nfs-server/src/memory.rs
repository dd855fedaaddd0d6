//! The bytes that requests and replies of all connections take together. A connection whose share would begin when there are
//! too many waits with its next request; who has begun a request may end it. Connections without a session get only a part,
//! so that nobody who is no client can make clients wait.
//!
//! A READ is small when it comes and large when it is answered. So replies have a part of their own, and what would bring one into
//! memory waits, whole as it is, while that part is used up: it stands against no request that is still to come, and ends as peers
//! take their replies.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Of the whole, what connections without a session may take.
const STRANGERS_PART: usize = 4;

/// Of the whole, what replies may take.
const REPLIES_PART: usize = 2;

/// The budget of all connections.
pub(crate) struct Memory {
    bytes_max: usize,
    all: AtomicUsize,
    strangers: AtomicUsize,
    replies: AtomicUsize,
    freed: Notify,
    /// Wakes one of those that wait to bring a reply into memory; each wakes the next while there is room.
    replies_freed: Notify,
}

/// One connection's share; dropping it gives it back.
pub(crate) struct Share {
    memory: Arc<Memory>,
    /// Whether the connection carries a session.
    session: Arc<AtomicBool>,
    mine: usize,
    counted_as_stranger: usize,
    my_replies: usize,
}

impl Memory {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            all: AtomicUsize::new(0),
            strangers: AtomicUsize::new(0),
            replies: AtomicUsize::new(0),
            freed: Notify::new(),
            replies_freed: Notify::new(),
        })
    }

    /// An empty share, for a connection that carries a session once `session` says so.
    pub(crate) fn share(self: &Arc<Self>, session: Arc<AtomicBool>) -> Share {
        Share { memory: Arc::clone(self), session, mine: 0, counted_as_stranger: 0, my_replies: 0 }
    }

    fn replies_have_room(&self) -> bool {
        self.replies.load(Ordering::Relaxed) < self.bytes_max / REPLIES_PART
    }
}

impl Share {
    /// What the connection takes now, and how much of it for replies, those of requests that run included.
    pub(crate) fn set(&mut self, bytes: usize, replies: usize) {
        let stranger = if self.is_known() { 0 } else { bytes };
        if change(&self.memory.replies, &mut self.my_replies, replies) {
            self.pass_on();
        }
        let less = change(&self.memory.all, &mut self.mine, bytes)
            | change(&self.memory.strangers, &mut self.counted_as_stranger, stranger);
        if less {
            self.memory.freed.notify_waiters();
        }
    }

    /// Whether the connection carries a session.
    pub(crate) fn is_known(&self) -> bool {
        self.session.load(Ordering::Relaxed)
    }

    /// Whether a request may run that brings a reply into memory.
    pub(crate) fn has_reply_room(&self) -> bool {
        self.memory.replies_have_room()
    }

    /// Ends when such a request may run.
    pub(crate) async fn reply_room(&self) {
        loop {
            let mut freed = pin!(self.memory.replies_freed.notified());
            freed.as_mut().enable();
            if self.has_reply_room() {
                return;
            }
            freed.await;
        }
    }

    /// Wakes the next who waits to bring a reply into memory, if there is room.
    pub(crate) fn pass_on(&self) {
        if self.memory.replies_have_room() {
            self.memory.replies_freed.notify_one();
        }
    }

    /// Whether another request may begin.
    pub(crate) fn has_room(&self) -> bool {
        let known = self.is_known();
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
        self.set(0, 0);
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
    use futures_util::FutureExt as _;
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
        one.set(25, 0);
        assert!(!two.has_room() && three.has_room());
        three.set(75, 0);
        assert!(!three.has_room());
        three.set(74, 0);
        assert!(three.has_room() && !two.has_room());
        // With its session the first is a client, too.
        first.store(true, Ordering::Relaxed);
        one.set(25, 0);
        assert!(two.has_room());
        three.set(80, 0);
        let waits = two.room();
        let frees = async {
            tokio::task::yield_now().await;
            drop(one);
        };
        tokio::join!(waits, frees);
        drop(three);
        assert_eq!((memory.all.load(Ordering::Relaxed), memory.strangers.load(Ordering::Relaxed)), (0, 0));
    }

    /// Architecture section 2.7: replies of all connections together are bounded; who waits with one is woken when there is room, one
    /// after the other, also if the one who was to be next is gone.
    #[tokio::test]
    async fn whoever_waits_with_a_reply_comes_to_his_turn() {
        let memory = Memory::new(100);
        let session = Arc::new(AtomicBool::new(true));
        let share = || memory.share(Arc::clone(&session));
        let mut first = share();
        first.set(60, 60);
        assert!(!first.has_reply_room() && first.has_room());
        let gives_up = share();
        let mut impatient = Box::pin(gives_up.reply_room());
        assert!((&mut impatient).now_or_never().is_none());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let mut share = share();
                tokio::spawn(async move {
                    share.reply_room().await;
                    share.set(20, 20);
                    share.pass_on();
                    tokio::task::yield_now().await;
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
        first.set(0, 0);
        // It was woken, and goes away.
        drop(impatient);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        assert_eq!(memory.replies.load(Ordering::Relaxed), 0);
    }
}
