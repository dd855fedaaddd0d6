//! The two byte buffers of a connection: what came in and is not yet understood, and what is sealed and not yet sent.

/// Bytes between a start and an end inside storage that is cleared once and then reused.
#[derive(Default)]
pub(crate) struct Window {
    storage: Vec<u8>,
    start: usize,
    end: usize,
}

impl Window {
    /// The bytes held.
    pub(crate) fn held(&self) -> &[u8] {
        self.storage.get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes held, to be changed in place.
    pub(crate) fn held_mut(&mut self) -> &mut [u8] {
        self.storage.get_mut(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Forgets bytes at the front.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start = self.end.min(self.start + bytes);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// At least `bytes` of room behind what is held.
    pub(crate) fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.end + bytes > self.storage.len() {
            self.storage.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end + bytes > self.storage.len() {
                self.storage.resize(self.end + bytes, 0);
            }
        }
        self.storage.get_mut(self.end..).unwrap_or_default()
    }

    /// Holds bytes that were written into the room.
    pub(crate) fn commit(&mut self, bytes: usize) {
        self.end = self.storage.len().min(self.end + bytes);
    }

    /// Appends bytes.
    #[cfg(test)]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let room = self.room(bytes.len());
        if let Some(room) = room.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.commit(bytes.len());
        }
    }

    /// Gives the storage back while nothing is held: an idle connection keeps no buffers.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && !self.storage.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    /// Architecture section 2.7: per-connection memory is bounded, so consumed bytes make room again.
    #[test]
    fn consumed_bytes_make_room_for_new_ones() {
        let mut window = Window::default();
        window.extend(b"abcdef");
        window.consume(4);
        let room = window.room(4);
        assert!(room.len() >= 4);
        assert!(window.storage.len() <= 10);
        window.extend(b"gh");
        assert_eq!(window.held(), b"efgh");
        window.consume(100);
        assert!(window.is_empty());
        window.release();
        assert_eq!(window.storage.capacity(), 0);
    }
}
