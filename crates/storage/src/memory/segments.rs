//! Segments in memory.

use std::{future::ready, ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use super::Contents;
use crate::{BoxFuture, Now, Place, Sealed, SegmentId, Segments, StorageError};

/// Small, so that tests see segments roll.
const SEGMENT_BYTES: usize = 4 << 20;

pub(super) struct MemorySegments {
    contents: Arc<Mutex<Contents>>,
    epoch: u32,
}

impl MemorySegments {
    pub(super) fn new(contents: Arc<Mutex<Contents>>, epoch: u32) -> Self {
        Self { contents, epoch }
    }

    fn append(&self, sealed: Vec<Sealed>) -> Result<Vec<Place>, StorageError> {
        let mut contents = self.contents.lock();
        if contents.epoch != self.epoch {
            return Err(StorageError::Stopped("another opening took over".to_owned()));
        }
        sealed.iter().map(|sealed| contents.append(self.epoch, sealed)).collect()
    }
}

impl Contents {
    fn append(&mut self, epoch: u32, sealed: &Sealed) -> Result<Place, StorageError> {
        let length = sealed.bytes();
        if length > Sealed::BYTES_MAX {
            return Err(StorageError::TooLarge);
        }
        let newest = self.segments.range(SegmentId::new(epoch, 0)..).next_back();
        let segment = match newest {
            Some((segment, bytes)) if bytes.len() + length <= SEGMENT_BYTES => *segment,
            Some((segment, _)) => SegmentId(segment.0 + 1),
            None => SegmentId::new(epoch, 0),
        };
        let bytes = self.segments.entry(segment).or_default();
        let offset = u64::try_from(bytes.len()).map_err(|_| StorageError::TooLarge)?;
        sealed.parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Ok(Place { segment, offset, length: u32::try_from(length).map_err(|_| StorageError::TooLarge)? })
    }

    fn bytes_of(&self, place: &Place, range: &Range<u32>) -> Result<&[u8], StorageError> {
        let missing = || StorageError::NoSuchPlace(format!("{range:?} of {place:?}"));
        let start = usize::try_from(place.offset + u64::from(range.start)).map_err(|_| missing())?;
        let end = usize::try_from(place.offset + u64::from(range.end)).map_err(|_| missing())?;
        let bytes = self.segments.get(&place.segment).ok_or_else(missing)?;
        if range.end > place.length {
            return Err(missing());
        }
        bytes.get(start..end).ok_or_else(missing)
    }
}

impl Segments for MemorySegments {
    fn put(&self, sealed: Vec<Sealed>) -> BoxFuture<'static, Result<Vec<Place>, StorageError>> {
        Box::pin(ready(self.append(sealed)))
    }

    fn read_now(&self, place: &Place, range: Range<u32>, out: &mut [u8]) -> Result<Now<()>, StorageError> {
        let contents = self.contents.lock();
        let bytes = contents.bytes_of(place, &range)?;
        if bytes.len() != out.len() {
            return Err(StorageError::NoSuchPlace("the buffer is not of the range's length".to_owned()));
        }
        out.copy_from_slice(bytes);
        Ok(Now::Hit(()))
    }

    fn prefetch(&self, _place: &Place) {}

    fn read(&self, place: &Place, range: Range<u32>) -> BoxFuture<'static, Result<BytesMut, StorageError>> {
        Box::pin(ready(self.contents.lock().bytes_of(place, &range).map(BytesMut::from)))
    }

    fn copy(&self, places: Vec<Place>) -> BoxFuture<'_, Result<Vec<Place>, StorageError>> {
        let sealed: Result<Vec<Sealed>, StorageError> = {
            let contents = self.contents.lock();
            let read = |place: &Place| contents.bytes_of(place, &(0..place.length)).map(Bytes::copy_from_slice);
            places.iter().map(|place| read(place).map(Sealed::from)).collect()
        };
        Box::pin(ready(sealed.and_then(|sealed| self.append(sealed))))
    }

    fn delete(&self, segment: SegmentId) -> BoxFuture<'_, Result<(), StorageError>> {
        let mut contents = self.contents.lock();
        let newest = contents.segments.range(SegmentId::new(self.epoch, 0)..).next_back().map(|(newest, _)| *newest);
        if newest == Some(segment) {
            let refused = StorageError::NoSuchPlace(format!("{segment:?} is still being written"));
            return Box::pin(ready(Err(refused)));
        }
        contents.segments.remove(&segment);
        Box::pin(ready(Ok(())))
    }

    fn list(&self, below: u32) -> BoxFuture<'_, Result<Vec<(SegmentId, u64)>, StorageError>> {
        let contents = self.contents.lock();
        let older = contents.segments.range(..SegmentId::new(below, 0));
        let list = older.map(|(segment, bytes)| (*segment, u64::try_from(bytes.len()).unwrap_or(u64::MAX))).collect();
        Box::pin(ready(Ok(list)))
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }
}
