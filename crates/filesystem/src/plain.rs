//! A bounded cache of opened pieces. Extents never change, so that an entry is right for as long as it is there.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::Budget;

/// Plaintext that is overwritten when its last user lets go of it.
pub(crate) struct Wiped(Vec<u8>);

impl Wiped {
    pub(crate) const fn new(plain: Vec<u8>) -> Self {
        Self(plain)
    }

    /// The bytes, to be shared. Wiped when nobody holds any part of them.
    pub(crate) fn share(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from leaving out a write that nobody reads; byte-wise volatile writes would cost as much as
        // opening the piece did.
        std::hint::black_box(&self.0);
    }
}

/// Opened pieces by (extent id, piece): two generations, of which the older goes when the younger is full. The caches of all
/// file systems that hold anything have equal shares of what the process may use.
pub(crate) struct PlainCache {
    budget: Arc<Budget>,
    generations: Mutex<Generations>,
}

type Pieces = HashMap<(u64, u32), Bytes>;

#[derive(Default)]
struct Generations {
    young: Pieces,
    old: Pieces,
    young_bytes: usize,
    old_bytes: usize,
}

impl Generations {
    fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// The younger one becomes the older, and that one goes.
    fn age(&mut self) {
        self.old = std::mem::take(&mut self.young);
        self.old_bytes = std::mem::take(&mut self.young_bytes);
    }
}

impl PlainCache {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, generations: Mutex::default() }
    }

    pub(crate) fn get(&self, extent: u64, piece: u32) -> Option<Bytes> {
        let mut generations = self.generations.lock();
        if let Some(found) = generations.young.get(&(extent, piece)) {
            return Some(found.clone());
        }
        let found = generations.old.remove(&(extent, piece))?;
        generations.old_bytes -= found.len();
        self.insert(&mut generations, (extent, piece), found.clone());
        self.leave_if_empty(&generations, false);
        Some(found)
    }

    /// Whether it is the first: from now on somebody must look whether the share has become less.
    pub(crate) fn put(&self, extent: u64, piece: u32, data: Bytes) -> bool {
        let mut generations = self.generations.lock();
        let first = generations.is_empty();
        if first {
            self.budget.plain_caches.fetch_add(1, Ordering::Relaxed);
        }
        self.insert(&mut generations, (extent, piece), data);
        self.leave_if_empty(&generations, false);
        first
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.generations.lock().is_empty()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let mut generations = self.generations.lock();
        let was_empty = generations.is_empty();
        *generations = Generations::default();
        self.leave_if_empty(&generations, was_empty);
    }

    /// Gives back what is more than the share, which has become less since others hold something.
    pub(crate) fn trim(&self) {
        let half = self.half();
        let mut generations = self.generations.lock();
        let was_empty = generations.is_empty();
        while generations.young_bytes > half || generations.old_bytes > half {
            generations.age();
        }
        self.leave_if_empty(&generations, was_empty);
    }

    fn half(&self) -> usize {
        self.budget.plaintext_bytes_max / self.budget.plain_caches.load(Ordering::Relaxed).max(1) / 2
    }

    fn leave_if_empty(&self, generations: &Generations, was_empty: bool) {
        if generations.is_empty() && !was_empty {
            self.budget.plain_caches.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn insert(&self, generations: &mut Generations, key: (u64, u32), data: Bytes) {
        let half = self.half();
        if generations.young_bytes + data.len() > half {
            generations.age();
        }
        if data.len() <= half {
            generations.young_bytes += data.len();
            if let Some(before) = generations.young.insert(key, data) {
                generations.young_bytes -= before.len();
            }
        }
    }
}

impl Drop for PlainCache {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(plaintext_bytes_max: usize) -> Arc<Budget> {
        Arc::new(Budget::new(1, 1, 1, plaintext_bytes_max))
    }

    /// docs/threat-model.md: what the plaintext cache held is overwritten, not only freed, and nobody who still reads a part
    /// loses it.
    #[test]
    fn pieces_are_readable_for_as_long_as_somebody_holds_them() {
        let cache = PlainCache::new(budget(80));
        cache.put(1, 0, Wiped::new(vec![7; 10]).share());
        let part = cache.get(1, 0).map(|piece| piece.slice(2..5));
        cache.clear();
        assert_eq!(part.as_deref(), Some([7_u8; 3].as_slice()));
    }

    /// Architecture section 3, "Data": the plaintext cache is bounded and keeps what is used.
    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let cache = PlainCache::new(budget(80));
        for piece in 0..100 {
            cache.put(1, piece, Bytes::from(vec![0; 10]));
            assert!(piece == 0 || cache.get(1, 0).is_some() || cache.get(1, piece).is_some());
            let generations = cache.generations.lock();
            assert!(generations.young.len() + generations.old.len() <= 8);
        }
        cache.clear();
        assert!(cache.get(1, 99).is_none());
    }

    /// Architecture section 4, "Process budgets": whoever holds something has an equal share, and who is idle gives back.
    #[test]
    fn file_systems_share_what_the_process_may_use() {
        let budget = budget(80);
        let bytes = |cache: &PlainCache| {
            let generations = cache.generations.lock();
            let held = generations.young.values().chain(generations.old.values()).map(Bytes::len).sum::<usize>();
            assert_eq!(held, generations.young_bytes + generations.old_bytes);
            held
        };
        let fill = |cache: &PlainCache| (0..100).for_each(|piece| _ = cache.put(1, piece, Bytes::from(vec![0; 10])));
        let (one, two) = (PlainCache::new(budget.clone()), PlainCache::new(budget.clone()));
        fill(&one);
        assert!(bytes(&one) > 40);
        fill(&two);
        one.trim();
        assert!(bytes(&one) <= 40 && (20..=40).contains(&bytes(&two)), "{} and {}", bytes(&one), bytes(&two));
        drop(two);
        fill(&one);
        assert!(bytes(&one) > 40);
        one.put(2, 0, Bytes::from(vec![0; 41]));
        one.clear();
        one.put(2, 0, Bytes::from(vec![0; 41]));
        assert_eq!(budget.plain_caches.load(Ordering::Relaxed), 0, "what is too large is not held");
    }
}
