//! Connections that have no session yet: bounded per source address and in all; the oldest is dropped for
//! a new one, so that nobody can hold the door shut. Architecture section 2.1.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Who waits at the door.
pub(crate) struct Waiting {
    per_source_max: usize,
    max: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    next: u64,
    /// In the order of arrival. Dropping the sender tells the connection to go.
    all: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
    sources: HashMap<IpAddr, BTreeMap<u64, ()>>,
}

impl Queue {
    fn remove(&mut self, number: u64) {
        if let Some((source, _)) = self.all.remove(&number)
            && let Some(of_source) = self.sources.get_mut(&source)
        {
            of_source.remove(&number);
            if of_source.is_empty() {
                self.sources.remove(&source);
            }
        }
    }
}

/// A place at the door; dropping it gives it back.
pub(crate) struct Place {
    waiting: Arc<Waiting>,
    number: u64,
    dropped: oneshot::Receiver<()>,
}

impl Waiting {
    pub(crate) fn new(per_source_max: usize, max: usize) -> Arc<Self> {
        Arc::new(Self { per_source_max: per_source_max.max(1), max: max.max(1), queue: Mutex::default() })
    }

    /// Takes a place, from the oldest of the same source or of all if it must.
    pub(crate) fn enter(self: &Arc<Self>, source: IpAddr) -> Place {
        let (sender, dropped) = oneshot::channel();
        let mut queue = self.queue.lock();
        let of_source = queue.sources.get(&source);
        let oldest = if of_source.is_some_and(|of_source| of_source.len() >= self.per_source_max) {
            of_source.and_then(|of_source| of_source.keys().next().copied())
        } else if queue.all.len() >= self.max {
            queue.all.keys().next().copied()
        } else {
            None
        };
        if let Some(oldest) = oldest {
            queue.remove(oldest);
        }
        let number = queue.next;
        queue.next += 1;
        queue.all.insert(number, (source, sender));
        queue.sources.entry(source).or_default().insert(number, ());
        Place { waiting: Arc::clone(self), number, dropped }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.lock().all.len()
    }
}

impl Place {
    /// Ends when the place is lost to a newer connection.
    pub(crate) async fn lost(&mut self) {
        let _ = (&mut self.dropped).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.queue.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::Waiting;
    use std::net::IpAddr;

    fn lost(place: &mut super::Place) -> bool {
        place.dropped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Closed)
    }

    /// Architecture section 2.1: waiting connections are bounded per source and in all, the oldest is dropped first.
    #[test]
    fn the_oldest_waiting_connection_makes_room() {
        let waiting = Waiting::new(2, 3);
        let [one, two, three] = [1, 2, 3].map(|n| IpAddr::from([127, 0, 0, n]));
        let mut a = waiting.enter(one);
        let mut b = waiting.enter(one);
        let mut c = waiting.enter(one);
        assert!(lost(&mut a) && !lost(&mut b) && !lost(&mut c));
        let mut d = waiting.enter(two);
        let mut e = waiting.enter(three);
        assert!(lost(&mut b) && !lost(&mut c) && !lost(&mut d) && !lost(&mut e));
        assert_eq!(waiting.len(), 3);
        drop((c, d, e));
        assert_eq!(waiting.len(), 0);
    }
}
