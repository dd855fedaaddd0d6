//! The thread that writes a shard's segments: groups of puts, one sync each.

use std::{
    fs::{File, OpenOptions},
    io, mem,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use super::{HEADER_BYTES, Put, Shared};
use crate::{
    Place, SegmentId, StorageError,
    buffers::{LARGE_BYTES_MIN, PAGE},
    embedded::{directory::sync_directory, files},
};

/// So much shares one sync at most.
const SYNC_BYTES: usize = 64 << 20;

/// The thread that writes.
pub(super) struct Writer {
    shared: Arc<Shared>,
    current: Option<Current>,
    next_number: u32,
}

struct Current {
    segment: SegmentId,
    file: Arc<File>,
    /// The same file for writes past the cache, where the file system has them.
    direct: Option<File>,
    end: u64,
}

/// Parts that follow each other in the segment and are written in the same way.
#[derive(Default)]
struct Run<'a> {
    parts: Vec<&'a Bytes>,
    bytes: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, current: None, next_number: 0 }
    }

    /// Until the shard's handle is dropped.
    pub(super) fn run(mut self) {
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
        let (space, env) = (&self.shared.space, &self.shared.engine.env.clone());
        let mut allowed = Vec::with_capacity(group.len());
        for put in group {
            if space.allows(put.bytes, put.may_use_reserve, env) {
                allowed.push(put);
            } else {
                let _ = put.answer.send(Err(StorageError::NoSpace));
            }
        }
        let shared = Arc::clone(&self.shared);
        let mut result = shared.health.check().and_then(|()| {
            let _running = shared.health.segments.start(env);
            self.write(&allowed)
        });
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
        let mut run = Run::default();
        for sealed in puts.iter().flat_map(|put| &put.sealed) {
            let length = sealed.bytes();
            let limit = self.shared.engine.budgets.segment_bytes;
            let full = |current: &Current| {
                let end = current.end + run.bytes;
                end > HEADER_BYTES && end + length as u64 > limit
            };
            if self.current.as_ref().is_none_or(full) {
                self.append(mem::take(&mut run))?;
                self.sync()?;
                self.roll()?;
            }
            let direct = match &sealed.parts[..] {
                [only] if self.takes_direct(only) => Some(only),
                _ => None,
            };
            if direct.is_some() {
                self.append(mem::take(&mut run))?;
                self.align();
            }
            if let Some(current) = &self.current {
                let length = u32::try_from(length).map_err(|_| StorageError::TooLarge)?;
                places.push(Place { segment: current.segment, offset: current.end + run.bytes, length });
            }
            match direct {
                Some(part) => self.append_direct(part)?,
                None => {
                    run.parts.extend(&sealed.parts);
                    run.bytes += length as u64;
                }
            }
        }
        self.append(run)?;
        self.sync()?;
        Ok(places)
    }

    /// Whether a part is written past the cache: it is large and lies as direct I/O wants it.
    fn takes_direct(&self, part: &Bytes) -> bool {
        part.len() >= LARGE_BYTES_MIN
            && part.as_ptr().align_offset(PAGE) == 0
            && self.current.as_ref().is_some_and(|current| current.direct.is_some())
    }

    /// Goes on at the next page; what is left out belongs to nobody.
    fn align(&mut self) {
        if let Some(current) = &mut self.current {
            current.end = current.end.next_multiple_of(PAGE as u64);
        }
    }

    /// Writes whole pages past the cache and what is left of the last one through it.
    fn append_direct(&mut self, part: &Bytes) -> Result<(), StorageError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let pages = part.slice(..part.len() - part.len() % PAGE);
        let rest = part.slice(pages.len()..);
        let end = current.end + pages.len() as u64;
        let written = match &current.direct {
            Some(direct) => files::write_at(direct, current.end, &[&pages]),
            None => Err(io::ErrorKind::InvalidInput.into()),
        };
        let written = match written {
            // Not every file system that opens a file for direct I/O also does it.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                current.direct = None;
                files::write_at(&current.file, current.end, &[&pages])
            }
            other => other,
        };
        let written = written.and_then(|()| files::write_at(&current.file, end, &[&rest]));
        written.map_err(|error| StorageError::io(&self.shared.path(current.segment), &error))?;
        current.end = end + rest.len() as u64;
        Ok(())
    }

    /// Writes a run of parts at the end of the current segment.
    fn append(&mut self, run: Run<'_>) -> Result<(), StorageError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        if run.parts.is_empty() {
            return Ok(());
        }
        let written = files::write_at(&current.file, current.end, &run.parts);
        written.map_err(|error| StorageError::io(&self.shared.path(current.segment), &error))?;
        current.end += run.bytes;
        Ok(())
    }

    /// Makes durable what was written to the current segment.
    fn sync(&self) -> Result<(), StorageError> {
        let Some(current) = &self.current else { return Ok(()) };
        let synced = current.file.sync_data();
        synced.map_err(|error| StorageError::io(&self.shared.path(current.segment), &error))
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
        // A file system without direct I/O refuses the flag.
        let direct = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&path).ok();
        let file = Arc::new(file);
        shared.engine.files.insert(shared.key(segment), file.clone());
        shared.active.store(segment.0, Ordering::Release);
        self.current = Some(Current { segment, file, direct, end: HEADER_BYTES });
        Ok(())
    }
}
