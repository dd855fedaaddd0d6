//! Written bytes that are not in the extent map yet: ranges of a file that never overlap.

use std::{collections::BTreeMap, ops::RangeBounds};

use bytes::Bytes;

use crate::plain::Wiped;

/// Small pieces of a large request buffer are copied, so that they do not keep the buffer.
const COPY_BELOW: usize = 16 << 10;

/// What a range takes beside its bytes.
const RANGE_BYTES: usize = 160;

/// Some written bytes, and how many the memory that they lie in has: a piece keeps all of it.
#[derive(Clone)]
struct Piece {
    data: Bytes,
    memory: usize,
}

impl Piece {
    fn new(data: Bytes) -> Self {
        Self { memory: data.len(), data }
    }

    /// A part. What is left of much is copied, or a few bytes could keep a megabyte that no budget counts.
    fn part(&self, range: impl RangeBounds<usize>) -> Self {
        let data = self.data.slice(range);
        if data.len() < self.memory / 2 {
            Self::new(Bytes::copy_from_slice(&data))
        } else {
            Self { data, memory: self.memory }
        }
    }
}

/// Ranges of bytes by their offsets.
#[derive(Clone, Default)]
pub(crate) struct Dirty {
    ranges: BTreeMap<u64, Piece>,
    payload: usize,
}

fn end(offset: u64, data: &Bytes) -> u64 {
    offset.saturating_add(data.len() as u64)
}

fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

impl Dirty {
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The memory that this takes: the written bytes, and what keeps them.
    pub(crate) fn bytes(&self) -> usize {
        self.payload + self.ranges.len() * RANGE_BYTES
    }

    /// Where the last range ends.
    pub(crate) fn end(&self) -> u64 {
        self.ranges.last_key_value().map_or(0, |(offset, piece)| end(*offset, &piece.data))
    }

    /// Writes over whatever is there. The memory that the data lies in should not be much larger than the data: it is kept.
    pub(crate) fn write(&mut self, offset: u64, data: Bytes) {
        let data = if data.len() < COPY_BELOW { Wiped::new(data.to_vec()).share() } else { data };
        self.clear(offset, end(offset, &data));
        self.put(offset, Piece::new(data));
    }

    fn put(&mut self, offset: u64, piece: Piece) {
        if !piece.data.is_empty() {
            self.payload += piece.data.len();
            self.ranges.insert(offset, piece);
        }
    }

    fn take(&mut self, offset: u64) -> Option<Piece> {
        self.ranges.remove(&offset).inspect(|piece| self.payload -= piece.data.len())
    }

    /// Forgets what lies between.
    pub(crate) fn clear(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        // The one that begins before and reaches in, then all that begin within.
        let before = self.ranges.range(..from).next_back().filter(|(offset, piece)| end(**offset, &piece.data) > from);
        let mut touched: Vec<u64> = before.map(|(offset, _)| *offset).into_iter().collect();
        touched.extend(self.ranges.range(from..to).map(|(offset, _)| *offset));
        for offset in touched {
            let Some(piece) = self.take(offset) else { continue };
            let piece_end = end(offset, &piece.data);
            if offset < from {
                self.put(offset, piece.part(..distance(offset, from)));
            }
            if piece_end > to {
                self.put(to, piece.part(distance(offset, to)..));
            }
        }
    }

    /// Puts `older` back beneath what has been written since.
    pub(crate) fn put_beneath(&mut self, older: Self) {
        let newer = std::mem::replace(self, older);
        for (offset, piece) in newer.ranges {
            self.clear(offset, end(offset, &piece.data));
            self.put(offset, piece);
        }
    }

    /// Takes what begins within `from..to`, from the lowest offset on, up to both bounds. A range that reaches over
    /// `from` is taken from there.
    pub(crate) fn take_some(&mut self, (from, to): (u64, u64), bytes_max: usize, ranges_max: usize) -> Self {
        if from == 0 && to >= self.end() && self.payload <= bytes_max && self.ranges.len() <= ranges_max {
            return std::mem::take(self);
        }
        let mut taken = Self::default();
        if from >= to {
            return taken;
        }
        let before = self.ranges.range(..from).next_back();
        if let Some((offset, piece)) = before.map(|(offset, piece)| (*offset, piece.clone()))
            && end(offset, &piece.data) > from
        {
            self.take(offset);
            self.put(offset, piece.part(..distance(offset, from)));
            self.put(from, piece.part(distance(offset, from)..));
        }
        while let Some(offset) = self.ranges.range(from..to).next().map(|(offset, _)| *offset) {
            let room = bytes_max.saturating_sub(taken.payload);
            if room == 0 || taken.ranges.len() >= ranges_max {
                break;
            }
            let Some(piece) = self.take(offset) else { break };
            if piece.data.len() > room {
                taken.put(offset, piece.part(..room));
                self.put(offset + room as u64, piece.part(room..));
            } else {
                taken.put(offset, piece);
            }
        }
        taken
    }

    /// The parts of ranges within `from..to`, in order.
    pub(crate) fn within(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, Bytes)> {
        let before = self.ranges.range(..from).next_back().filter(|(offset, piece)| end(**offset, &piece.data) > from);
        let inside = if from < to { Some(self.ranges.range(from..to)) } else { None };
        before.into_iter().chain(inside.into_iter().flatten()).map(move |(offset, piece)| {
            let low = (*offset).max(from);
            let high = end(*offset, &piece.data).min(to);
            (low, piece.data.slice(distance(*offset, low)..distance(*offset, high)))
        })
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        self.ranges.iter().map(|(offset, piece)| (*offset, &piece.data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dirty: &Dirty) -> String {
        let mut text = String::new();
        for (offset, data) in dirty.ranges() {
            text += &format!("{offset}:{} ", String::from_utf8_lossy(data));
        }
        assert_eq!(dirty.payload, dirty.ranges().map(|(_, data)| data.len()).sum::<usize>());
        text
    }

    /// Architecture section 3, "Data": the write-back buffer holds the newest byte of each place.
    #[test]
    fn newer_writes_win() {
        let mut dirty = Dirty::default();
        dirty.write(0, Bytes::from_static(b"aaaaaaaaaa"));
        dirty.write(3, Bytes::from_static(b"bbb"));
        assert_eq!(text(&dirty), "0:aaa 3:bbb 6:aaaa ");
        dirty.write(2, Bytes::from_static(b"cc"));
        assert_eq!(text(&dirty), "0:aa 2:cc 4:bb 6:aaaa ");
        dirty.write(20, Bytes::from_static(b"z"));
        dirty.clear(5, 8);
        assert_eq!(text(&dirty), "0:aa 2:cc 4:b 8:aa 20:z ");
        let within: Vec<_> = dirty.within(3, 9).map(|(offset, data)| (offset, data.len())).collect();
        assert_eq!(within, [(3, 1), (4, 1), (8, 1)]);
        assert_eq!(dirty.end(), 21);
    }

    /// Architecture section 3, "Data": a flush takes a part, and what could not be flushed goes back beneath newer writes.
    #[test]
    fn parts_are_taken_and_put_back_beneath() {
        let mut dirty = Dirty::default();
        dirty.write(0, Bytes::from_static(b"0123456789"));
        dirty.write(20, Bytes::from_static(b"xy"));
        let taken = dirty.take_some((0, 99), 4, 9);
        assert_eq!((text(&taken).as_str(), text(&dirty).as_str()), ("0:0123 ", "4:456789 20:xy "));
        dirty.write(1, Bytes::from_static(b"NN"));
        dirty.put_beneath(taken);
        assert_eq!(text(&dirty), "0:0 1:NN 3:3 4:456789 20:xy ");
        assert_eq!(text(&dirty.take_some((0, 99), 100, 9)), "0:0 1:NN 3:3 4:456789 20:xy ");
        assert!(dirty.is_empty());
    }

    /// Architecture section 3, "Data": the buffer is bounded by what it holds in memory, so what is left of a large write does
    /// not keep all of it.
    #[test]
    fn remains_do_not_keep_what_was_written_over() {
        const WHOLE: usize = 1 << 20;
        let whole = WHOLE as u64;
        let mut dirty = Dirty::default();
        for round in 0..64_u64 {
            let at = round * 2 * whole;
            dirty.write(at, Bytes::from(vec![1; WHOLE]));
            dirty.write(at + 1, Bytes::from(vec![2; WHOLE]));
            dirty.clear(at + 1, at + 1 + whole);
        }
        let kept: usize = dirty.ranges.values().map(|piece| piece.memory).sum();
        assert_eq!((dirty.payload, kept), (64, 64));
        // Cut in smaller and smaller parts, which are each more than half of the one before.
        let mut dirty = Dirty::default();
        dirty.write(0, Bytes::from(vec![1; WHOLE]));
        let mut length = whole;
        while length > 1 {
            length = length * 2 / 3;
            dirty.clear(length, u64::MAX);
            let kept: usize = dirty.ranges.values().map(|piece| piece.memory).sum();
            assert!(kept <= 2 * dirty.payload + 1, "{kept} for {}", dirty.payload);
        }
    }

    /// RFC 8881 section 18.3: a flush goes once over what was there when it began; what is behind it, or beyond, waits.
    #[test]
    fn a_pass_takes_what_lies_before_it() {
        let mut dirty = Dirty::default();
        dirty.write(0, Bytes::from_static(b"0123456789"));
        assert_eq!(text(&dirty.take_some((0, 10), 4, 9)), "0:0123 ");
        dirty.write(0, Bytes::from_static(b"ab"));
        dirty.write(3, Bytes::from_static(b"cde"));
        dirty.write(30, Bytes::from_static(b"z"));
        assert_eq!(text(&dirty.take_some((4, 10), 100, 9)), "4:de 6:6789 ");
        assert!(dirty.take_some((10, 10), 100, 9).is_empty());
        assert_eq!(text(&dirty), "0:ab 3:c 30:z ");
    }

    /// Architecture section 4, "Process budgets": what a small write takes beside its bytes counts too.
    #[test]
    fn small_writes_count_for_what_they_take() {
        let mut dirty = Dirty::default();
        for offset in 0..100 {
            dirty.write(offset * 4096, Bytes::from_static(b"x"));
        }
        assert_eq!(dirty.bytes(), 100 * (1 + RANGE_BYTES));
        dirty.write(0, Bytes::from(vec![0; 100 * 4096]));
        assert_eq!(dirty.bytes(), 100 * 4096 + RANGE_BYTES);
    }
}
