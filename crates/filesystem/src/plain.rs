//! A bounded cache of opened pieces. Extents never change, so that an entry is right for as long as it is there.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

/// Opened pieces by (extent id, piece): two generations, of which the older goes when the younger is full.
pub(crate) struct PlainCache {
    half: usize,
    generations: Mutex<Generations>,
}

type Pieces = HashMap<(u64, u32), Bytes>;

#[derive(Default)]
struct Generations {
    young: Pieces,
    old: Pieces,
    young_bytes: usize,
}

impl PlainCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { half: bytes_max / 2, generations: Mutex::default() }
    }

    pub(crate) fn get(&self, extent: u64, piece: u32) -> Option<Bytes> {
        let mut generations = self.generations.lock();
        if let Some(found) = generations.young.get(&(extent, piece)) {
            return Some(found.clone());
        }
        let found = generations.old.remove(&(extent, piece))?;
        self.insert(&mut generations, (extent, piece), found.clone());
        Some(found)
    }

    pub(crate) fn put(&self, extent: u64, piece: u32, data: Bytes) {
        self.insert(&mut self.generations.lock(), (extent, piece), data);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.generations.lock() = Generations::default();
    }

    fn insert(&self, generations: &mut Generations, key: (u64, u32), data: Bytes) {
        if generations.young_bytes + data.len() > self.half {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_bytes = 0;
        }
        if data.len() <= self.half {
            generations.young_bytes += data.len();
            generations.young.insert(key, data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 3, "Data": the plaintext cache is bounded and keeps what is used.
    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let cache = PlainCache::new(80);
        for piece in 0..100 {
            cache.put(1, piece, Bytes::from(vec![0; 10]));
            assert!(piece == 0 || cache.get(1, 0).is_some() || cache.get(1, piece).is_some());
            let generations = cache.generations.lock();
            assert!(generations.young.len() + generations.old.len() <= 8);
        }
        cache.clear();
        assert!(cache.get(1, 99).is_none());
    }
}
