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
    end: u64,
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
