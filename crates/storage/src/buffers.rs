//! Buffers for what goes into segments and comes out of them: large ones begin at a page, so that the disk can take their
//! bytes without a copy, and are used again, so that no memory is cleared and faulted in for each megabyte.
//!
//! **Only sealed bytes belong in them**: a buffer comes back with whatever it held last.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use parking_lot::Mutex;

/// The alignment that direct I/O wants of memory, offsets and lengths; no current disk wants more.
pub(crate) const PAGE: usize = 4096;

/// One sealed MiB of a file: 256 pieces of 4 KiB, each with its tag of 16 bytes.
const LARGE_BYTES: usize = (1 << 20) + PAGE;

/// From this size on a buffer begins at a page, and is written and read in whole pages. More than what is flushed inline at
/// once when it is sealed: an inline value stays in memory for long, and must not keep a buffer of a MiB with it.
pub(crate) const LARGE_BYTES_MIN: usize = 128 << 10;

/// So many are kept while nobody uses them: 32 MiB.
const KEPT_MAX: usize = 32;

static KEPT: Mutex<Vec<Memory>> = Mutex::new(Vec::new());

/// Memory whose `start` is at a page boundary if it is large.
struct Memory {
    bytes: Box<[u8]>,
    start: usize,
}

impl Memory {
    fn small(length: usize) -> Self {
        Self { bytes: vec![0; length].into_boxed_slice(), start: 0 }
    }

    fn large(length: usize) -> Self {
        let bytes = vec![0; length + PAGE].into_boxed_slice();
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Self { bytes, start }
    }
}

/// A buffer of sealed bytes.
pub struct SealedBuffer {
    /// Always there until the drop.
    memory: Option<Memory>,
    length: usize,
}

impl SealedBuffer {
    /// A buffer of this length. What is in it is not defined, but was never plaintext.
    #[must_use]
    pub fn new(length: usize) -> Self {
        let memory = match length {
            0..LARGE_BYTES_MIN => Memory::small(length),
            LARGE_BYTES_MIN..=LARGE_BYTES => KEPT.lock().pop().unwrap_or_else(|| Memory::large(LARGE_BYTES)),
            _ => Memory::large(length),
        };
        Self { memory: Some(memory), length }
    }

    /// The bytes, to be shared; the memory comes back when nobody holds them any more.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for SealedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let memory = self.memory.as_ref();
        memory.and_then(|memory| memory.bytes.get(memory.start..memory.start + self.length)).unwrap_or_default()
    }
}

impl DerefMut for SealedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let length = self.length;
        let memory = self.memory.as_mut();
        memory.and_then(|memory| memory.bytes.get_mut(memory.start..memory.start + length)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for SealedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for SealedBuffer {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take()
            && memory.bytes.len() == LARGE_BYTES + PAGE
        {
            let mut kept = KEPT.lock();
            if kept.len() < KEPT_MAX {
                kept.push(memory);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 4: bulk bytes go to the disk from where they were sealed.
    #[test]
    fn every_buffer_has_its_length_and_large_ones_begin_at_a_page() {
        for length in [0, 1, 4112, LARGE_BYTES_MIN, LARGE_BYTES, LARGE_BYTES + 1] {
            let mut buffer = SealedBuffer::new(length);
            assert_eq!(buffer.len(), length);
            assert!(length < LARGE_BYTES_MIN || buffer.as_ptr().align_offset(PAGE) == 0);
            buffer.fill(7);
            let bytes = buffer.freeze();
            assert!(bytes.len() == length && bytes.iter().all(|byte| *byte == 7));
        }
        assert!(KEPT.lock().len() <= KEPT_MAX);
    }
}
