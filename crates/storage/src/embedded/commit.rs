//! The commit thread of an open shard: drains the queue into one fjall batch and one fdatasync, answers, and keeps the
//! floor and the memtables in bounds. The only writer of the shard.

use std::{
    collections::HashSet,
    mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use bytes::Bytes;
use crypto::Prf;
use fjall::{AbstractTree as _, OwnedWriteBatch, PersistMode};

use super::{
    core::Core,
    floor::{self, Floor, FloorFile},
    history::{EPOCH_KEY, FLUSH_EVERY, Hash, Record},
    journal::{self, Ahead},
    maps::{Maps, engine_error},
    queue::{Ending, Waiting, take_group},
};
use crate::{Batch, CommitError, Keyspace, Seq, StorageError};

/// How long a clean close waits for the last flush.
const CLOSE_LIMIT: Duration = Duration::from_secs(60);
const FLUSH_PAUSE: Duration = Duration::from_millis(2);

/// From so many memtables that wait, or runs of tables that lie over each other, on, fjall 3.1 lets whoever commits wait
/// inside the commit (at 4 and 30; from 20 on it slows down), and does not notice there that its own thread has ended.
/// So we wait before it does.
const SEALED_MEMTABLES_MAX: usize = 3;
const OVERLAPPING_RUNS_MAX: usize = 18;
const PRESSURE_PAUSE: Duration = Duration::from_millis(5);

/// How often an opening that found the disk full looks for room.
const ROOM_PERIOD: Duration = Duration::from_millis(500);

/// What the thread does next.
enum Step {
    Commit(Vec<Waiting>),
    /// Nothing waits: time for the floor and the memtables.
    Pause,
    End,
}

/// The thread's own things.
pub(crate) struct Committer {
    pub(crate) core: Arc<Core>,
    pub(crate) maps: Maps,
    pub(crate) chain: Prf,
    pub(crate) floor: FloorFile,
    pub(crate) last: (Seq, Hash),
    pub(crate) flushed: Seq,
    /// The epoch of this opening, as long as it is not durable: nothing else may be written before.
    pub(crate) unnoted: Option<u32>,
    pub(crate) ahead: Ahead,
}

impl Committer {
    /// The thread. Returns when the shard is closed, dropped or failed; a panic of the engine fails the shard.
    pub(crate) fn run_guarded(self) {
        let core = self.core.clone();
        if panic::catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            core.health.fail("the commit thread panicked");
            core.queue.fail_all();
            core.opened.write().take();
            core.queue.end(&Err(core.health.stopped()));
        }
    }

    fn run(mut self) {
        loop {
            self.wait_for_tables();
            match self.next() {
                Step::Commit(group) => self.commit(group),
                Step::Pause => self.pause(),
                Step::End => break,
            }
        }
        self.end();
    }

    /// Notes the opening: raises the epoch, before anything is written under it.
    pub(crate) fn note_opening(&mut self) -> Result<(), StorageError> {
        let Some(epoch) = self.unnoted else { return Ok(()) };
        let record = Record::following(&self.chain, &self.last.1, Seq(self.last.0.0 + 1), &Batch::new(0));
        let mut batch = OwnedWriteBatch::with_capacity(self.maps.database.clone(), 2);
        batch.insert(&self.maps.history, EPOCH_KEY, epoch.to_be_bytes().as_slice());
        batch.insert(&self.maps.history, Record::key(record.seq).as_slice(), record.encode().as_slice());
        let noted = batch.durability(Some(PersistMode::SyncData)).commit();
        noted.map_err(|error| engine_error(self.maps.directory(), &error))?;
        self.floor.raise(&self.chain, Floor { seq: record.seq, hash: record.hash, clean: false })?;
        self.last = (record.seq, record.hash);
        self.core.durable.store(record.seq.0, Ordering::Release);
        self.unnoted = None;
        self.core.space.admit();
        Ok(())
    }

    /// Notes an opening that found the disk full, if there is room now. False: nothing can be written yet.
    fn catch_up(&mut self) -> bool {
        if self.unnoted.is_some() && self.core.space.allows_opening(&self.core.env) {
            let core = self.core.clone();
            let _running = core.queue.busy.start(&core.env);
            if let Err(error) = self.note_opening() {
                core.health.fail(&format!("the opening could not be noted: {error}"));
            }
        }
        self.unnoted.is_none()
    }

    /// Waits until the engine takes a commit without letting it wait inside, or until the opening is over. The time limit
    /// does not run: writing tables takes as long as it takes.
    fn wait_for_tables(&self) {
        let pressed = |keyspace: &fjall::Keyspace| {
            keyspace.tree.sealed_memtable_count() >= SEALED_MEMTABLES_MAX
                || keyspace.tree.l0_run_count() >= OVERLAPPING_RUNS_MAX
        };
        while !self.core.health.is_over() && self.maps.all().into_iter().any(pressed) {
            if let Some(reason) = self.maps.trouble() {
                self.core.health.fail(&reason);
            }
            thread::sleep(PRESSURE_PAUSE);
        }
    }

    fn next(&self) -> Step {
        let queue = &self.core.queue;
        let mut state = queue.state.lock();
        loop {
            if self.core.health.is_over() {
                return Step::End;
            }
            if !state.waiting.is_empty() {
                return Step::Commit(take_group(&mut state.waiting));
            }
            if !matches!(state.ending, Ending::Open) {
                return Step::End;
            }
            if queue.flush.load(Ordering::Acquire) {
                return Step::Pause;
            }
            if self.unnoted.is_some() {
                if queue.wake.wait_for(&mut state, ROOM_PERIOD).timed_out() && state.waiting.is_empty() {
                    return Step::Pause;
                }
            } else if self.floor.current().seq == self.last.0 {
                queue.wake.wait(&mut state);
            } else if queue.wake.wait_for(&mut state, floor::PERIOD).timed_out() && state.waiting.is_empty() {
                return Step::Pause;
            }
        }
    }

    /// Makes a group durable with one sync and answers it.
    fn commit(&mut self, group: Vec<Waiting>) {
        let core = self.core.clone();
        self.catch_up();
        let allowed = self.refuse_without_space(group);
        if allowed.is_empty() {
            return;
        }
        let bytes: usize = allowed.iter().map(|waiting| waiting.bytes).sum();
        let (batch, last, appended) = self.assemble(&allowed);
        let answers = allowed.into_iter().map(|waiting| (waiting.batch.token, waiting.answer)).collect();
        core.queue.state.lock().in_flight = answers;

        // Until the end of the turn: the floor and the memtables wait for the same disk.
        let _running = core.queue.busy.start(&core.env);
        let result = batch.durability(Some(PersistMode::SyncData)).commit();

        if let Err(error) = result {
            core.health.fail(&format!("a commit failed: {error}"));
            return;
        }
        // The time limit may have failed the shard meanwhile and answered everybody; the batch is on the disk then, as
        // "unknown" allows.
        let answers = mem::take(&mut core.queue.state.lock().in_flight);
        let before = mem::replace(&mut self.last, last);
        core.durable.store(last.0.0, Ordering::Release);
        for (seq, (_, answer)) in (before.0.0 + 1..).zip(answers) {
            let _ = answer.send(Ok(Seq(seq)));
        }
        core.space.used(2 * bytes);
        if let Err(error) = self.ahead.appended(appended) {
            tracing::debug!(%error, "syncs of the journal take longer");
        }
        if last.0.0 - self.floor.current().seq.0 >= floor::BATCHES {
            self.raise_floor(false);
        }
        if last.0.0 - self.flushed.0 >= FLUSH_EVERY || core.queue.flush.load(Ordering::Acquire) {
            self.flush();
        }
    }

    fn refuse_without_space(&self, group: Vec<Waiting>) -> Vec<Waiting> {
        let core = &self.core;
        let mut allowed = Vec::with_capacity(group.len());
        for waiting in group {
            // Once into the journal and once into a table.
            if core.space.allows(2 * waiting.bytes, waiting.batch.may_use_reserve, &core.env) {
                allowed.push(waiting);
            } else {
                let _ = waiting.answer.send(Err(CommitError::NoSpace));
            }
        }
        allowed
    }

    /// One fjall batch of all changes and their records. Returns it with the sequence and hash it leads to, and what it
    /// takes in the journal.
    fn assemble(&self, group: &[Waiting]) -> (OwnedWriteBatch, (Seq, Hash), usize) {
        let keys: usize = group.iter().map(|waiting| waiting.batch.keys() + 1).sum();
        let mut batch = OwnedWriteBatch::with_capacity(self.maps.database.clone(), keys);
        let mut bytes = 0;
        let mut last = self.last;
        for waiting in group {
            let seq = Seq(last.0.0 + 1);
            let record = Record::following(&self.chain, &last.1, seq, &waiting.batch);
            let (key, value) = (Record::key(seq), record.encode());
            bytes += key.len() + value.len();
            batch.insert(&self.maps.history, key.as_slice(), value.as_slice());
            last = (seq, record.hash);
        }
        if let [only] = group {
            bytes += self.add(&mut batch, &only.batch, &mut |_, _| true);
        } else {
            // All records of a fjall batch have one version, so of several changes of a key only the last may go in.
            let mut seen: HashSet<(Keyspace, Bytes)> = HashSet::with_capacity(keys);
            for waiting in group.iter().rev() {
                let mut wanted = |keyspace, key: &Bytes| seen.insert((keyspace, key.clone()));
                bytes += self.add(&mut batch, &waiting.batch, &mut wanted);
            }
        }
        let appended = journal::batch_bytes(batch.len(), bytes);
        (batch, last, appended)
    }

    /// Adds what is wanted; its bytes.
    fn add(
        &self,
        batch: &mut OwnedWriteBatch,
        from: &Batch,
        wanted: &mut impl FnMut(Keyspace, &Bytes) -> bool,
    ) -> usize {
        let mut bytes = 0;
        for (keyspace, key, value) in &from.puts {
            if wanted(*keyspace, key) {
                bytes += key.len() + value.len();
                batch.insert(self.maps.of(*keyspace), key.clone(), value.clone());
            }
        }
        for (keyspace, key) in &from.deletes {
            if wanted(*keyspace, key) {
                bytes += key.len();
                batch.remove(self.maps.of(*keyspace), key.clone());
            }
        }
        bytes
    }

    fn pause(&mut self) {
        if !self.catch_up() {
            self.core.queue.flush.store(false, Ordering::Release);
            return;
        }
        let core = self.core.clone();
        let _running = core.queue.busy.start(&core.env);
        if self.core.queue.flush.load(Ordering::Acquire) {
            self.flush();
        }
        if self.floor.current().seq != self.last.0 {
            self.raise_floor(false);
        }
    }

    /// Starts writing all memtables to tables, in the background.
    fn flush(&mut self) {
        self.core.queue.flush.store(false, Ordering::Release);
        for keyspace in self.maps.all() {
            if let Err(error) = keyspace.rotate_memtable() {
                self.core.health.fail(&format!("a flush failed: {error}"));
                return;
            }
        }
        self.flushed = self.last.0;
    }

    fn raise_floor(&mut self, clean: bool) {
        let floor = Floor { seq: self.last.0, hash: self.last.1, clean };
        if let Err(error) = self.floor.raise(&self.chain, floor) {
            self.core.health.fail(&format!("the floor could not be raised: {error}"));
        }
    }

    fn end(mut self) {
        let closing = matches!(self.core.queue.state.lock().ending, Ending::Closing(_));
        let failed = self.core.health.is_over();
        self.core.queue.fail_all();
        let result = match (closing, failed) {
            (true, false) => self.finish(),
            (true, true) => Err(self.core.health.stopped()),
            (false, _) => Ok(()),
        };
        self.core.health.close();
        let core = self.core.clone();
        let clean = closing && result.is_ok();
        let opened = core.opened.write().take();
        // The database waits for its thread when its last handle goes.
        drop(self);
        if let Some(opened) = opened {
            opened.end(clean);
        }
        core.queue.end(&result);
    }

    /// Writes everything to tables and marks the log's end, so that the next start replays nothing.
    fn finish(&mut self) -> Result<(), StorageError> {
        let core = self.core.clone();
        if self.unnoted.is_some() {
            // Nothing was written, and what was there before is as it was.
            return Err(StorageError::NoSpace);
        }
        self.flush();
        let started = core.env.now();
        let is_flushed = |keyspace: &fjall::Keyspace| keyspace.tree.sealed_memtable_count() == 0;
        while !self.maps.all().into_iter().all(is_flushed) {
            let late = core.env.now().since(started) > CLOSE_LIMIT;
            if let Some(reason) =
                self.maps.trouble().or_else(|| late.then(|| "the last flush took too long".to_owned()))
            {
                core.health.fail(&reason);
            }
            core.health.check()?;
            thread::sleep(FLUSH_PAUSE);
        }
        self.raise_floor(true);
        core.health.check()
    }
}
