//! Record marking: RPC messages out of a byte stream. RFC 5531 section 11. A record's length is bounded before anything
//! is allocated for it, and memory is taken as the bytes arrive, not as the peer announces them.

use bytes::buf::Limit;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use std::collections::VecDeque;

use crate::memory::Share;

/// What a record starts with; the rest is allocated once this much has arrived.
const FIRST_BYTES: usize = 32 * 1024;
/// From this much on, the rest of a fragment is worth reading straight into its record.
const DIRECT_BYTES_MIN: usize = 8 * 1024;
const LAST_FRAGMENT: u32 = 0x8000_0000;

/// The peer announced a record over the limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of more than {0} bytes")]
pub(crate) struct RecordTooLong(usize);

/// Puts records together.
pub(crate) struct Records {
    bytes_max: usize,
    mark: [u8; 4],
    mark_length: usize,
    fragment_left: usize,
    last: bool,
    in_fragment: bool,
    body: BytesMut,
    complete: VecDeque<Bytes>,
    /// What all connections share; none in tests of one.
    share: Option<Share>,
}

impl Records {
    /// Records of at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            mark: [0; 4],
            mark_length: 0,
            fragment_left: 0,
            last: false,
            in_fragment: false,
            body: BytesMut::new(),
            complete: VecDeque::new(),
            share: None,
        }
    }

    /// The same, counted in a share.
    pub(crate) fn sharing(mut self, share: Share) -> Self {
        self.share = Some(share);
        self
    }

    /// Counts what is held here, and what the connection holds besides, of which so much for replies. What a client has announced
    /// counts already, since it may end; what a stranger announces does not.
    pub(crate) fn account(&mut self, besides: usize, replies: usize) {
        if let Some(share) = &mut self.share {
            let complete: usize = self.complete.iter().map(Bytes::len).sum();
            let announced = if share.is_known() { self.body.len() + self.fragment_left } else { 0 };
            let body = self.body.capacity().max(announced);
            share.set(besides.saturating_add(body).saturating_add(complete), replies);
        }
    }

    /// Whether a request may run that brings a reply into memory.
    pub(crate) fn has_reply_room(&self) -> bool {
        self.share.as_ref().is_none_or(Share::has_reply_room)
    }

    /// Ends when such a request may run.
    pub(crate) async fn reply_room(&self) {
        if let Some(share) = &self.share {
            share.reply_room().await;
        }
    }

    /// Lets the next such request of another connection run, if there is room.
    pub(crate) fn pass_on(&self) {
        if let Some(share) = &self.share {
            share.pass_on();
        }
    }

    /// Whether more may be read: a record that has begun may always end, or nobody's would.
    pub(crate) fn has_room(&self) -> bool {
        self.is_partial() || self.share.as_ref().is_none_or(Share::has_room)
    }

    /// Ends when another record may begin.
    pub(crate) async fn room(&self) {
        if let Some(share) = &self.share {
            share.room().await;
        }
    }

    /// The next whole record.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        self.complete.pop_front()
    }

    /// Whether a record has begun and is not whole.
    pub(crate) fn is_partial(&self) -> bool {
        self.in_fragment || self.mark_length > 0 || !self.body.is_empty()
    }

    /// Whether whole records wait to be taken.
    pub(crate) fn has_complete(&self) -> bool {
        !self.complete.is_empty()
    }

    /// Takes bytes of the stream.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), RecordTooLong> {
        while !bytes.is_empty() {
            if self.in_fragment {
                let take = bytes.len().min(self.fragment_left);
                self.reserve(take);
                self.body.put_slice(bytes.get(..take).unwrap_or_default());
                bytes.advance(take);
                self.took(take);
            } else {
                let take = bytes.len().min(4 - self.mark_length);
                let (mark, rest) = bytes.split_at(take);
                if let Some(place) = self.mark.get_mut(self.mark_length..self.mark_length + take) {
                    place.copy_from_slice(mark);
                }
                self.mark_length += take;
                bytes = rest;
                if self.mark_length == 4 {
                    self.begin()?;
                }
            }
        }
        Ok(())
    }

    /// The record's own memory, limited to what its fragment still lacks, when the rest is large enough to be read from
    /// the socket without a copy. Tell [`Records::took`] how much was read.
    pub(crate) fn direct(&mut self) -> Option<Limit<&mut BytesMut>> {
        if !self.in_fragment || self.fragment_left < DIRECT_BYTES_MIN {
            return None;
        }
        self.reserve(1);
        let room = (self.body.capacity() - self.body.len()).min(self.fragment_left);
        Some((&mut self.body).limit(room))
    }

    /// Counts bytes that were put into the record.
    pub(crate) fn took(&mut self, bytes: usize) {
        self.fragment_left = self.fragment_left.saturating_sub(bytes);
        if self.in_fragment && self.fragment_left == 0 {
            self.end_fragment();
        }
    }

    fn begin(&mut self) -> Result<(), RecordTooLong> {
        let mark = u32::from_be_bytes(self.mark);
        let length = (mark & !LAST_FRAGMENT) as usize;
        if length > self.bytes_max.saturating_sub(self.body.len()) {
            return Err(RecordTooLong(self.bytes_max));
        }
        self.mark_length = 0;
        self.fragment_left = length;
        self.last = mark & LAST_FRAGMENT != 0;
        self.in_fragment = true;
        if length == 0 {
            self.end_fragment();
        }
        Ok(())
    }

    fn end_fragment(&mut self) {
        self.in_fragment = false;
        if self.last {
            self.complete.push_back(std::mem::take(&mut self.body).freeze());
        }
    }

    /// Makes room for at least `bytes`: little for what was only announced, all of the fragment for what has arrived.
    fn reserve(&mut self, bytes: usize) {
        if self.body.capacity() - self.body.len() < bytes.max(1) {
            let more = if self.body.len() + bytes <= FIRST_BYTES {
                self.fragment_left.min(FIRST_BYTES)
            } else {
                self.fragment_left
            };
            self.body.reserve(more.max(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST_BYTES, RecordTooLong, Records};
    use crate::testing::mark;

    fn marked(last: bool, body: &[u8]) -> Vec<u8> {
        let word = mark(body.len()) & if last { u32::MAX } else { 0x7fff_ffff };
        [&word.to_be_bytes(), body].concat()
    }

    /// RFC 5531 section 11: a record is one or more fragments, and the stream may be cut anywhere.
    #[test]
    fn a_record_arrives_in_any_cut_of_any_fragments() {
        let stream = [
            marked(false, b"ab"),
            marked(false, b""),
            marked(true, b"cd"),
            marked(true, b""),
            marked(true, b"efghijk"),
        ]
        .concat();
        for cut in 1..=stream.len() {
            let mut records = Records::new(16);
            for piece in stream.chunks(cut) {
                records.feed(piece).unwrap();
            }
            let got: Vec<_> = std::iter::from_fn(|| records.next()).collect();
            assert_eq!(got, [&b"abcd"[..], b"", b"efghijk"]);
            assert!(!records.is_partial());
        }
    }

    /// Architecture section 1, "Bounds": the announced length is checked before memory is taken, over all fragments
    /// together.
    #[test]
    fn a_record_over_the_limit_is_refused_when_it_is_announced() {
        let mut records = Records::new(8);
        assert_eq!(records.feed(&mark(9).to_be_bytes()), Err(RecordTooLong(8)));
        let mut records = Records::new(8);
        records.feed(&marked(false, b"12345")).unwrap();
        assert_eq!(records.feed(&mark(4).to_be_bytes()), Err(RecordTooLong(8)));
        let mut records = Records::new(8);
        assert!(records.feed(&[0xff; 4]).is_err());
    }

    /// Architecture section 1, "Bounds": memory follows what has arrived.
    #[test]
    fn an_announcement_alone_takes_little_memory() {
        let mut records = Records::new(1 << 20);
        records.feed(&mark(1 << 20).to_be_bytes()).unwrap();
        records.feed(&[0; 100]).unwrap();
        assert!(records.body.capacity() <= 2 * FIRST_BYTES);
        assert!(records.direct().is_some());
    }
}
