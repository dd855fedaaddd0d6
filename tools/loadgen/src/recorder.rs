//! The recorder: works at random, notes every operation that was acknowledged, and on request compares the file system
//! with its notes. It runs on while the server is killed under it; no operation may fail and nothing may be missing.

mod tree;
mod worker;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use worker::Worker;

use crate::measure::named;

/// What the workers and the one who hears requests share.
pub(crate) struct Shared {
    /// The number of the comparison that is wanted.
    wanted: AtomicU64,
    stop: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Workers that wait, having ended their operation.
    paused: u64,
    /// Workers that have compared, and what they found.
    compared: u64,
    operations: u64,
    failure: Option<String>,
    /// Comparisons whose caches are dropped and may begin.
    begun: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, Duration::from_millis(200));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Works until the stop file is there.
pub(crate) fn run(directory: &Path, control: &Path, seed: u64, threads: u64) -> Result<String, String> {
    fs::create_dir(directory).map_err(named(directory))?;
    let shared = Shared {
        wanted: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        state: Mutex::default(),
        changed: Condvar::new(),
    };
    let workers = (0..threads)
        .map(|nth| Worker::new(directory.join(format!("worker-{nth}")), seed * 1000 + nth))
        .collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        for worker in workers {
            let shared = &shared;
            scope.spawn(move || work(worker, shared));
        }
        hear(control, &shared, threads)
    })
}

/// A worker's life: operations, and between two of them, when wanted, a comparison.
fn work(mut worker: Worker, shared: &Shared) {
    let mut compared = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        let wanted = shared.wanted.load(Ordering::SeqCst);
        let outcome = if wanted > compared {
            let mut state = shared.state();
            state.paused += 1;
            shared.changed.notify_all();
            while state.begun < wanted && !shared.stop.load(Ordering::SeqCst) {
                state = shared.wait(state);
            }
            drop(state);
            let outcome = worker.compare();
            compared = wanted;
            shared.state().compared += 1;
            shared.changed.notify_all();
            outcome
        } else {
            worker.step()
        };
        let mut state = shared.state();
        state.operations += 1;
        if let Err(why) = outcome {
            state.failure.get_or_insert(format!("{why}\n  before it: {}", worker.recent()));
            shared.stop.store(true, Ordering::SeqCst);
            shared.changed.notify_all();
        }
    }
}

/// Hears requests (files named verify.N, stop) until the end.
fn hear(control: &Path, shared: &Shared, threads: u64) -> Result<String, String> {
    let mut answered = HashSet::new();
    let mut comparisons = 0;
    loop {
        thread::sleep(Duration::from_millis(100));
        let state = shared.state();
        if let Some(failure) = &state.failure {
            shared.stop.store(true, Ordering::SeqCst);
            let _ = fs::write(control.join("failed"), failure);
            return Err(failure.clone());
        }
        let operations = state.operations;
        drop(state);
        if control.join("stop").exists() {
            shared.stop.store(true, Ordering::SeqCst);
            return Ok(serde_json::json!({ "operations": operations, "comparisons": comparisons }).to_string());
        }
        if let Some(request) = request(control, &answered) {
            comparisons += 1;
            compare(shared, threads, comparisons)?;
            let answer = request.with_file_name(
                request
                    .file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().replace("verify", "verified")),
            );
            let line = serde_json::json!({ "operations": operations }).to_string();
            if shared.state().failure.is_none() {
                fs::write(&answer, line).map_err(named(&answer))?;
            }
            answered.insert(request);
        }
    }
}

fn request(control: &Path, answered: &HashSet<PathBuf>) -> Option<PathBuf> {
    let mut requests: Vec<_> = fs::read_dir(control).ok()?.flatten().map(|entry| entry.path()).collect();
    requests.retain(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("verify.")) && !answered.contains(path)
    });
    requests.sort();
    requests.into_iter().next()
}

/// Stops all workers between two operations, drops the client's caches, and lets them compare.
fn compare(shared: &Shared, threads: u64, number: u64) -> Result<(), String> {
    shared.wanted.store(number, Ordering::SeqCst);
    let mut state = shared.state();
    while state.paused < threads * number && state.failure.is_none() {
        state = shared.wait(state);
    }
    drop(state);
    fs::write("/proc/sys/vm/drop_caches", "3").map_err(|error| format!("cannot drop the caches: {error}"))?;
    let mut state = shared.state();
    state.begun = number;
    shared.changed.notify_all();
    while state.compared < threads * number && state.failure.is_none() {
        state = shared.wait(state);
    }
    Ok(())
}
