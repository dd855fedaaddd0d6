//! The threads that wait for the disk, so that no tokio worker does.

use std::{
    collections::VecDeque,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    thread,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::{BoxFuture, StorageError};

type Job = Box<dyn FnOnce() + Send>;

/// A few threads that run what they are given, in order.
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    jobs: Mutex<Jobs>,
    wake: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Result<Self, StorageError> {
        let shared = Arc::new(Shared { jobs: Mutex::default(), wake: Condvar::new() });
        for _ in 0..threads.max(1) {
            let shared = shared.clone();
            spawn("storage-read", move || shared.work())?;
        }
        Ok(Self(shared))
    }

    /// Runs `job` on a thread of the pool. It goes its way even if the future is dropped.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let (answer, result) = oneshot::channel();
        let job = Box::new(move || {
            // Nobody waiting any more is no error.
            let _ = answer.send(job());
        });
        self.0.jobs.lock().waiting.push_back(job);
        self.0.wake.notify_one();
        Box::pin(async move { result.await.unwrap_or_else(|_| Err(lost())) })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.jobs.lock().closed = true;
        self.0.wake.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let job = {
                let mut jobs = self.jobs.lock();
                loop {
                    match jobs.waiting.pop_front() {
                        Some(job) => break job,
                        None if jobs.closed => return,
                        None => self.wake.wait(&mut jobs),
                    }
                }
            };
            // fjall panics on some kinds of damage. The job's answer is dropped then, which its waiter hears as an error.
            if panic::catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a read of the engine panicked; its files are probably damaged");
            }
        }
    }
}

/// Runs rare, long work (opening, closing) on a thread of its own.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let (answer, result) = oneshot::channel();
    spawn(name, move || {
        // Nobody waiting any more is no error.
        let _ = answer.send(work());
    })?;
    result.await.unwrap_or_else(|_| Err(lost()))
}

/// Starts a thread.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, StorageError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|error| StorageError::Io { path: format!("thread {name}"), cause: error.to_string() })
}

/// The work panicked. The shard goes on: other reads are served.
fn lost() -> StorageError {
    let cause = "the work ended before it answered; the files are probably damaged".to_owned();
    StorageError::Io { path: "engine".to_owned(), cause }
}
