//! Who has put sealed bytes into a segment that the map does not name yet.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Everybody on the way from a put into the map, in the order in which they began.
pub(crate) struct Placing {
    turns: Mutex<Turns>,
    ended: Notify,
}

#[derive(Default)]
struct Turns {
    next: u64,
    running: BTreeSet<u64>,
}

/// From before a put until what it gave is in the queue, or was given up.
pub(crate) struct Turn<'a> {
    placing: &'a Placing,
    number: u64,
}

impl Placing {
    pub(super) fn new() -> Self {
        Self { turns: Mutex::default(), ended: Notify::new() }
    }

    /// Call before the put.
    pub(crate) fn begin(&self) -> Turn<'_> {
        let mut turns = self.turns.lock();
        let number = turns.next;
        turns.next += 1;
        turns.running.insert(number);
        Turn { placing: self, number }
    }

    /// Waits for everybody who has begun until now.
    pub(super) async fn settled(&self) {
        let before = self.turns.lock().next;
        loop {
            let ended = self.ended.notified();
            if self.turns.lock().running.first().is_none_or(|first| *first >= before) {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.placing.turns.lock().running.remove(&self.number);
        self.placing.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Architecture section 3: a segment stays while a flush that began before may still name it; later ones do not count.
    #[tokio::test]
    async fn only_who_began_before_is_waited_for() {
        let placing = Placing::new();
        placing.settled().await;
        let before = placing.begin();
        let waits = tokio::time::timeout(Duration::from_millis(20), placing.settled());
        assert!(waits.await.is_err());
        let mut settled = std::pin::pin!(placing.settled());
        assert!(polled_once(settled.as_mut()).is_none());
        let _after = placing.begin();
        drop(before);
        settled.await;
    }

    /// Polls once.
    fn polled_once(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> Option<()> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut cx) {
            std::task::Poll::Ready(()) => Some(()),
            std::task::Poll::Pending => None,
        }
    }
}
