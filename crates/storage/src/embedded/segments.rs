//! Segments as append-only files (docs/on-disk-format.md, "Segments").
//!
//! One thread per shard, started at the first put, takes everything that waits, writes it with as few `pwritev` as
//! possible and answers after one fdatasync: concurrent puts share it. A write that fails for want of space is given
//! up together with its segment's tail; any other error ends the opening.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    future::ready,
    io::{self, ErrorKind},
    mem,
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    EngineInner,
    directory::sync_directory,
    files::{self, FileKey, Wait},
    health::Health,
    pool,
    space::SpaceWatch,
};
use crate::{BoxFuture, Now, Place, Sealed, SegmentId, Segments, StorageError};

const MAGIC: &[u8; 8] = b"COFFSEG\0";
const VERSION: u32 = 1;
/// A page of its own, so that the first bytes put are aligned.
const HEADER_BYTES: u64 = 4096;
const HEADER_USED: usize = 8 + 4 + 16 + 8;

/// So much shares one sync at most.
const SYNC_BYTES: usize = 64 << 20;

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
            let writer = move || Writer { shared, current: None, next_number: 0 }.run();
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
        let path = || self.path(place.segment);
        let file = self.file(place.segment)?;
        let read = files::read_buffer(&file, offset, length, Wait::Allowed);
        let buffer = read.map_err(|error| StorageError::io(&path(), &error))?;
        if buffer.len() == length {
            Ok(buffer)
        } else {
            let what = format!("the segment ends at {}, before the end of a place", offset + buffer.len() as u64);
            Err(StorageError::damaged(&path(), what, CURE))
        }
    }
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

    fn read(&self, place: &Place, range: Range<u32>) -> BoxFuture<'static, Result<BytesMut, StorageError>> {
        let (offset, length) = match bounds(place, &range) {
            Ok(bounds) => bounds,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        if let Some(file) = self.0.engine.files.get(self.0.key(place.segment))
            && let Ok(buffer) = files::read_buffer(&file, offset, length, Wait::Never)
            && buffer.len() == length
        {
            return Box::pin(ready(Ok(buffer)));
        }
        let (shared, place) = (self.0.clone(), *place);
        self.0.engine.pool.run(move || shared.read(&place, &range))
    }

    fn copy(&self, places: Vec<Place>) -> BoxFuture<'_, Result<Vec<Place>, StorageError>> {
        Box::pin(async move {
            let mut sealed = Vec::with_capacity(places.len());
            for place in &places {
                sealed.push(Sealed::from(self.read(place, 0..place.length).await?.freeze()));
            }
            // Copies come before a deletion that frees more than they take.
            self.0.put(sealed, true).await
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

/// The thread that writes.
struct Writer {
    shared: Arc<Shared>,
    current: Option<Current>,
    next_number: u32,
}

struct Current {
    segment: SegmentId,
    file: Arc<File>,
    end: u64,
}

impl Writer {
    fn run(mut self) {
        while let Some(group) = self.next() {
            self.write_group(group);
        }
    }

    fn next(&self) -> Option<Vec<Put>> {
        let mut queue = self.shared.queue.lock();
        loop {
            if !queue.waiting.is_empty() {
                let mut bytes = 0;
                let fits = |put: &&Put| {
                    bytes += put.bytes;
                    bytes <= SYNC_BYTES
                };
                let count = queue.waiting.iter().take_while(fits).count().max(1);
                return Some(queue.waiting.drain(..count).collect());
            }
            if queue.closed {
                return None;
            }
            self.shared.wake.wait(&mut queue);
        }
    }

    fn write_group(&mut self, group: Vec<Put>) {
        let (space, env) = (&self.shared.space, &self.shared.engine.env);
        let mut allowed = Vec::with_capacity(group.len());
        for put in group {
            if space.allows(put.bytes, put.may_use_reserve, env) {
                allowed.push(put);
            } else {
                let _ = put.answer.send(Err(StorageError::NoSpace));
            }
        }
        let mut result = self.shared.health.check().and_then(|()| self.write(&allowed));
        match &result {
            Ok(_) => {}
            // The tail of the segment holds what nobody will name; the next put begins another.
            Err(StorageError::NoSpace) => self.current = None,
            Err(error) => self.shared.health.fail(&format!("a segment could not be written: {error}")),
        }
        for put in allowed {
            self.shared.space.used(put.bytes);
            let answer = match &mut result {
                Ok(places) => Ok(places.drain(..put.sealed.len()).collect()),
                Err(error) => Err(error.clone()),
            };
            // Whoever dropped the future leaves garbage for the cleaner.
            let _ = put.answer.send(answer);
        }
    }

    /// Writes everything and syncs. Nothing of it counts before the last sync is through.
    fn write(&mut self, puts: &[Put]) -> Result<Vec<Place>, StorageError> {
        let mut places = Vec::with_capacity(puts.iter().map(|put| put.sealed.len()).sum());
        let mut run: Vec<&Bytes> = Vec::new();
        let mut run_bytes = 0_u64;
        for sealed in puts.iter().flat_map(|put| &put.sealed) {
            let length = sealed.bytes();
            let limit = self.shared.engine.budgets.segment_bytes;
            let full = |current: &Current| {
                let end = current.end + run_bytes;
                end > HEADER_BYTES && end + length as u64 > limit
            };
            if self.current.as_ref().is_none_or(full) {
                self.flush(&mem::take(&mut run), mem::take(&mut run_bytes))?;
                self.roll()?;
            }
            if let Some(current) = &self.current {
                let length = u32::try_from(length).map_err(|_| StorageError::TooLarge)?;
                places.push(Place { segment: current.segment, offset: current.end + run_bytes, length });
            }
            run.extend(&sealed.parts);
            run_bytes += length as u64;
        }
        self.flush(&run, run_bytes)?;
        Ok(places)
    }

    /// Writes a run of parts at the end of the current segment and makes them durable.
    fn flush(&mut self, run: &[&Bytes], run_bytes: u64) -> Result<(), StorageError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if run.is_empty() {
            return Ok(());
        }
        let written = files::write_at(&current.file, current.end, run).and_then(|()| current.file.sync_data());
        written.map_err(|error| StorageError::io(&self.shared.path(current.segment), &error))?;
        current.end += run_bytes;
        Ok(())
    }

    /// Begins the next segment; its name is durable on return.
    fn roll(&mut self) -> Result<(), StorageError> {
        let shared = &self.shared;
        let segment = SegmentId::new(shared.epoch, self.next_number);
        let path = shared.path(segment);
        let error = |error: io::Error| StorageError::io(&path, &error);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        // Even a creation that fails half-way uses up its number.
        self.next_number += 1;
        let file = file.map_err(error)?;
        file.write_all_at(&shared.header(segment), 0).and_then(|()| file.set_len(HEADER_BYTES)).map_err(error)?;
        file.sync_data().map_err(error)?;
        sync_directory(&shared.dir)?;
        let file = Arc::new(file);
        shared.engine.files.insert(shared.key(segment), file.clone());
        shared.active.store(segment.0, Ordering::Release);
        self.current = Some(Current { segment, file, end: HEADER_BYTES });
        Ok(())
    }
}
