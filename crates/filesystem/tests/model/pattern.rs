//! Bytes that tell by which write they were written, and chance.

use std::sync::LazyLock;

/// A prime, so that no two patterns are alike at the same place.
const TABLE: usize = 65_521;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random(1);
    (0..TABLE).map(|_| (random.next() >> 40) as u8).collect()
});

fn runs(pattern: u64, from: u64, length: usize) -> impl Iterator<Item = &'static [u8]> {
    let mut at = ((from + pattern * 8191) % TABLE as u64) as usize;
    let mut left = length;
    std::iter::from_fn(move || {
        let run = &BYTES[at..(at + left).min(TABLE)];
        left -= run.len();
        at = 0;
        (!run.is_empty()).then_some(run)
    })
}

pub(crate) fn bytes(pattern: u64, from: u64, length: usize) -> Vec<u8> {
    runs(pattern, from, length).fold(Vec::with_capacity(length), |mut all, run| {
        all.extend_from_slice(run);
        all
    })
}

pub(crate) fn is(pattern: u64, from: u64, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    runs(pattern, from, bytes.len()).all(|run| {
        let (part, after) = rest.split_at(run.len());
        rest = after;
        part == run
    })
}

/// SplitMix64: one seed replays everything.
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, below: usize) -> usize {
        (self.next() % below.max(1) as u64) as usize
    }

    pub(crate) fn chance(&mut self, of_thousand: usize) -> bool {
        self.below(1000) < of_thousand
    }

    pub(crate) fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        if all.is_empty() { None } else { Some(all[self.below(all.len())].clone()) }
    }
}
