//! Segments as append-only files (docs/on-disk-format.md, "Segments").
//!
//! One thread per shard, started at the first put, takes everything that waits, writes it with as few `pwritev` as
//! possible and answers after one fdatasync: concurrent puts share it. A write that fails for want of space is given
//! up together with its segment's tail; any other error ends the opening.

#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::VecDeque,
    fs::{self, File},
    future::ready,
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use self::writer::Writer;
use super::{
    EngineInner,
    files::{self, FileKey, Wait},
    health::Health,
    pool,
    space::SpaceWatch,
};
use crate::{BoxFuture, Now, Place, Sealed, SealedBuffer, SegmentId, Segments, StorageError};

const MAGIC: &[u8; 8] = b"COFFSEG\0";
const VERSION: u32 = 1;
/// A page of its own, so that the first bytes put are aligned.
const HEADER_BYTES: u64 = 4096;
const HEADER_USED: usize = 8 + 4 + 16 + 8;

const CURE: &str = "restore the file from a backup; files that do not lie in it are not affected";

type Answer = oneshot::Sender<Result<Vec<Place>, StorageError>>;

/// The segments of one open shard.
pub(crate) struct SegmentFiles(Arc<Shared>);

struct Shared {
    engine: Arc<EngineInner>,
    dir: PathBuf,
    shard_id: [u8; 16],
    shard: u64,
    epoch: u32,
    health: Arc<Health>,
    space: Arc<SpaceWatch>,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// The segment being written; `u64::MAX` before the first.
    active: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Put>,
    thread: bool,
    closed: bool,
}

struct Put {
    sealed: Vec<Sealed>,
    bytes: usize,
    may_use_reserve: bool,
    answer: Answer,
}

impl SegmentFiles {
    pub(crate) fn new(
        engine: Arc<EngineInner>,
        dir: PathBuf,
        shard_id: [u8; 16],
        epoch: u32,
        health: Arc<Health>,
        space: Arc<SpaceWatch>,
    ) -> Self {
        let shard = engine.files.new_shard();
        let (queue, wake, active) = (Mutex::default(), Condvar::new(), AtomicU64::new(u64::MAX));
        Self(Arc::new(Shared { engine, dir, shard_id, shard, epoch, health, space, queue, wake, active }))
    }
}

impl Drop for SegmentFiles {
    fn drop(&mut self) {
        self.0.queue.lock().closed = true;
        self.0.wake.notify_one();
        self.0.engine.files.remove_shard(self.0.shard);
    }
}

impl Shared {
    fn path(&self, segment: SegmentId) -> PathBuf {
        self.dir.join(format!("{}-{}.seg", segment.epoch(), segment.number()))
    }

    fn key(&self, segment: SegmentId) -> FileKey {
        (self.shard, segment)
    }

    fn header(&self, segment: SegmentId) -> [u8; HEADER_USED] {
        let mut header = [0; HEADER_USED];
        let fields: [&[u8]; 4] = [MAGIC, &VERSION.to_be_bytes(), &self.shard_id, &segment.0.to_be_bytes()];
        for (to, from) in header.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        header
    }

    fn put(
        self: &Arc<Self>,
        sealed: Vec<Sealed>,
        may_use_reserve: bool,
    ) -> BoxFuture<'static, Result<Vec<Place>, StorageError>> {
        if sealed.iter().any(|sealed| sealed.bytes() > Sealed::BYTES_MAX) {
            return Box::pin(ready(Err(StorageError::TooLarge)));
        }
        let (answer, result) = oneshot::channel();
        let bytes = sealed.iter().map(Sealed::bytes).sum();
        let mut queue = self.queue.lock();
        if !queue.thread {
            let shared = self.clone();
            let writer = move || Writer::new(shared).run();
            if let Err(error) = pool::spawn("storage-segments", writer) {
                return Box::pin(ready(Err(error)));
            }
            queue.thread = true;
        }
        queue.waiting.push_back(Put { sealed, bytes, may_use_reserve, answer });
        drop(queue);
        self.wake.notify_one();
        let health = self.health.clone();
        Box::pin(async move { result.await.unwrap_or_else(|_| Err(health.stopped())) })
    }

    /// The file of a segment, opened and checked if it is not open yet. Waits for the disk.
    fn file(&self, segment: SegmentId) -> Result<Arc<File>, StorageError> {
        if let Some(file) = self.engine.files.get(self.key(segment)) {
            return Ok(file);
        }
        let path = self.path(segment);
        let file = File::open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => StorageError::damaged(&path, "the segment is missing", CURE),
            _ => StorageError::io(&path, &error),
        })?;
        let mut found = [0; HEADER_USED];
        file.read_exact_at(&mut found, 0).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => StorageError::damaged(&path, "the segment has no whole header", CURE),
            _ => StorageError::io(&path, &error),
        })?;
        self.check_header(&path, segment, &found)?;
        let file = Arc::new(file);
        self.engine.files.insert(self.key(segment), file.clone());
        Ok(file)
    }

    fn check_header(&self, path: &Path, segment: SegmentId, found: &[u8; HEADER_USED]) -> Result<(), StorageError> {
        if *found == self.header(segment) {
            return Ok(());
        }
        let version = found.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk()).map(|v| u32::from_be_bytes(*v));
        match version {
            Some(found) if found != VERSION => {
                Err(StorageError::Version { path: path.display().to_string(), found, expected: VERSION })
            }
            Some(_) => {
                Err(StorageError::damaged(path, "the segment belongs to another shard or has another name", CURE))
            }
            None => Err(StorageError::damaged(path, "the segment's header is damaged", CURE)),
        }
    }

    fn read(&self, place: &Place, range: &Range<u32>) -> Result<BytesMut, StorageError> {
        let (offset, length) = bounds(place, range)?;
        let file = self.file(place.segment)?;
        let read = files::read_buffer(&file, offset, length, Wait::Allowed);
        let buffer = read.map_err(|error| StorageError::io(&self.path(place.segment), &error))?;
        if buffer.len() == length {
            Ok(buffer)
        } else {
            Err(self.too_short(place.segment, offset + buffer.len() as u64))
        }
    }

    /// The bytes of many places, one after the other. What lies close together is asked of the disk together, before it is waited
    /// for.
    fn gather(&self, places: &[Place]) -> Result<Bytes, StorageError> {
        let whole = places.iter().map(|place| place.length as usize).sum();
        if whole > Sealed::BYTES_MAX {
            return Err(StorageError::TooLarge);
        }
        for (segment, span) in spans(places) {
            let length = u32::try_from(span.end - span.start).unwrap_or(u32::MAX);
            files::prefetch(&*self.file(segment)?, span.start, length);
        }
        let mut gathered = SealedBuffer::new(whole);
        let mut rest = &mut gathered[..];
        for place in places {
            let (offset, length) = bounds(place, &(0..place.length))?;
            let file = self.file(place.segment)?;
            let (out, tail) = rest.split_at_mut(length);
            rest = tail;
            let read = files::read_at(&file, offset, files::as_uninit(out), Wait::Allowed);
            let read = read.map_err(|error| StorageError::io(&self.path(place.segment), &error))?;
            if read < length {
                return Err(self.too_short(place.segment, offset + read as u64));
            }
        }
        Ok(gathered.freeze())
    }

    fn too_short(&self, segment: SegmentId, end: u64) -> StorageError {
        let what = format!("the segment ends at {end}, before the end of a place");
        StorageError::damaged(&self.path(segment), what, CURE)
    }
}

/// A gap up to this is read with what is around it.
const GAP_MAX: u64 = 16 << 10;

/// The spans that hold all places, those with small gaps between them taken together.
fn spans(places: &[Place]) -> Vec<(SegmentId, Range<u64>)> {
    let mut sorted: Vec<&Place> = places.iter().collect();
    sorted.sort_unstable_by_key(|place| (place.segment, place.offset));
    let mut spans: Vec<(SegmentId, Range<u64>)> = Vec::new();
    for place in sorted {
        let end = place.offset.saturating_add(u64::from(place.length));
        match spans.last_mut() {
            Some((segment, span)) if *segment == place.segment && place.offset <= span.end + GAP_MAX => {
                span.end = span.end.max(end);
            }
            _ => spans.push((place.segment, place.offset..end)),
        }
    }
    spans
}

/// Offset in the file and length of a range of a place.
fn bounds(place: &Place, range: &Range<u32>) -> Result<(u64, usize), StorageError> {
    let offset = place.offset.checked_add(u64::from(range.start)).filter(|_| place.offset >= HEADER_BYTES);
    let length = range.end.checked_sub(range.start).filter(|_| range.end <= place.length);
    match (offset, length.and_then(|length| usize::try_from(length).ok())) {
        (Some(offset), Some(length)) => Ok((offset, length)),
        _ => Err(StorageError::NoSuchPlace(format!("{range:?} of {place:?}"))),
    }
}

impl Segments for SegmentFiles {
    fn put(&self, sealed: Vec<Sealed>) -> BoxFuture<'static, Result<Vec<Place>, StorageError>> {
        self.0.put(sealed, false)
    }

    fn read_now(&self, place: &Place, range: Range<u32>, out: &mut [u8]) -> Result<Now<()>, StorageError> {
        let (offset, length) = bounds(place, &range)?;
        if out.len() != length {
            return Err(StorageError::NoSuchPlace("the buffer is not of the range's length".to_owned()));
        }
        let Some(file) = self.0.engine.files.get(self.0.key(place.segment)) else {
            return Ok(Now::WouldBlock);
        };
        match files::read_at(&file, offset, files::as_uninit(out), Wait::Never) {
            Ok(read) if read == length => Ok(Now::Hit(())),
            // Short for whatever reason: the read that waits finds out.
            _ => Ok(Now::WouldBlock),
        }
    }

    fn prefetch(&self, place: &Place) {
        if let Some(file) = self.0.engine.files.get(self.0.key(place.segment)) {
            return files::prefetch(&file, place.offset, place.length);
        }
        let (shared, place) = (self.0.clone(), *place);
        // Opening the file may wait; whoever asked does not.
        drop(self.0.engine.pool.run(move || {
            files::prefetch(&*shared.file(place.segment)?, place.offset, place.length);
            Ok(())
        }));
    }

    fn read(&self, place: &Place, range: Range<u32>) -> BoxFuture<'static, Result<BytesMut, StorageError>> {
        let (shared, place) = (self.0.clone(), *place);
        self.0.engine.pool.run(move || shared.read(&place, &range))
    }

    fn copy(&self, places: Vec<Place>) -> BoxFuture<'_, Result<Vec<Place>, StorageError>> {
        Box::pin(async move {
            let (shared, from) = (self.0.clone(), places.clone());
            let read = self.0.engine.pool.run(move || shared.gather(&from)).await?;
            let together = self.0.put(vec![Sealed::from(read)], true).await?;
            let mut begin = 0;
            let parts = places.iter().map(|place| {
                let range = begin..begin + place.length;
                begin = range.end;
                together.first().and_then(|all| all.part(range))
            });
            parts.collect::<Option<_>>().ok_or(StorageError::TooLarge)
        })
    }

    fn delete(&self, segment: SegmentId) -> BoxFuture<'_, Result<(), StorageError>> {
        let shared = self.0.clone();
        self.0.engine.pool.run(move || {
            if shared.active.load(Ordering::Acquire) == segment.0 {
                return Err(StorageError::NoSuchPlace(format!("{segment:?} is still being written")));
            }
            let path = shared.path(segment);
            let result = fs::remove_file(&path);
            shared.engine.files.remove(shared.key(segment));
            match result {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(StorageError::io(&path, &error)),
                _ => Ok(()),
            }
        })
    }

    fn list(&self, below: u32) -> BoxFuture<'_, Result<Vec<(SegmentId, u64)>, StorageError>> {
        let shared = self.0.clone();
        self.0.engine.pool.run(move || {
            let error = |error: io::Error| StorageError::io(&shared.dir, &error);
            let mut found = Vec::new();
            for entry in fs::read_dir(&shared.dir).map_err(error)? {
                let entry = entry.map_err(error)?;
                if let Some(segment) = entry.file_name().to_str().and_then(parse_name)
                    && segment.epoch() < below
                {
                    found.push((segment, entry.metadata().map_err(error)?.len()));
                }
            }
            found.sort_unstable();
            Ok(found)
        })
    }

    fn epoch(&self) -> u32 {
        self.0.epoch
    }
}

fn parse_name(name: &str) -> Option<SegmentId> {
    let (epoch, number) = name.strip_suffix(".seg")?.split_once('-')?;
    Some(SegmentId::new(epoch.parse().ok()?, number.parse().ok()?))
}
