//! A bounded cache of opened pieces. Extents never change, so that an entry is right for as long as it is there.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

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

    /// docs/threat-model.md: what the plaintext cache held is overwritten, not only freed, and nobody who still reads a part
    /// loses it.
    #[test]
    fn pieces_are_readable_for_as_long_as_somebody_holds_them() {
        let cache = PlainCache::new(80);
        cache.put(1, 0, Wiped::new(vec![7; 10]).share());
        let part = cache.get(1, 0).map(|piece| piece.slice(2..5));
        cache.clear();
        assert_eq!(part.as_deref(), Some([7_u8; 3].as_slice()));
    }

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
