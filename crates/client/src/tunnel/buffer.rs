//! A fixed piece of memory with bytes in its middle: filled at the back, emptied at the front.

/// The buffer. It never grows.
pub(super) struct Buffer {
    memory: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) fn new(bytes: usize) -> Self {
        Self { memory: vec![0; bytes].into_boxed_slice(), start: 0, end: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What is waiting.
    pub(super) fn filled(&self) -> &[u8] {
        self.memory.get(self.start..self.end).unwrap_or_default()
    }

    /// The first `count` bytes have been used.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Room at the back, at least `wanted` bytes of it if there are so many in all.
    pub(super) fn space(&mut self, wanted: usize) -> &mut [u8] {
        if self.memory.len() - self.end < wanted && self.start > 0 {
            self.memory.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        self.memory.get_mut(self.end..).unwrap_or_default()
    }

    /// `count` bytes of [`Buffer::space`] have been written.
    pub(super) fn produce(&mut self, count: usize) {
        self.end = (self.end + count).min(self.memory.len());
    }

    /// How many bytes more it could take.
    pub(super) const fn free(&self) -> usize {
        self.memory.len() - (self.end - self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Architecture section 1, "Bounds": what a peer sends is bounded; the bytes come out as they went in.
    #[test]
    fn bytes_pass_in_order_and_space_comes_back() {
        let mut buffer = Buffer::new(8);
        buffer.space(1)[..6].copy_from_slice(b"abcdef");
        buffer.produce(6);
        buffer.consume(4);
        assert_eq!((buffer.filled(), buffer.free()), (&b"ef"[..], 6));
        let space = buffer.space(6);
        assert_eq!(space.len(), 6);
        space.copy_from_slice(b"ghijkl");
        buffer.produce(6);
        assert_eq!((buffer.filled(), buffer.free()), (&b"efghijkl"[..], 0));
        assert!(buffer.space(1).is_empty());
        buffer.consume(8);
        assert!(buffer.is_empty() && buffer.free() == 8);
    }
}
