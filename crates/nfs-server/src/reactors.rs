//! The threads that connections live on: one for each processor, each with a runtime of its own. A connection stays on
//! its thread, and what its requests wait for wakes just that thread; a runtime that shares its tasks among threads wakes
//! a second one each time, to look whether there is more to do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// The threads. They end when this is dropped, and with them what still runs there.
pub(crate) struct Reactors {
    threads: Vec<Reactor>,
    _stop: watch::Sender<()>,
}

struct Reactor {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// Counts a connection for as long as it lasts.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reactors {
    /// Starts `count` threads, at least one.
    ///
    /// # Errors
    /// The system's, when it gives no more threads or files.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(());
        let threads = (0..count.max(1)).map(|_| Reactor::start(stopped.clone())).collect::<io::Result<_>>()?;
        Ok(Self { threads, _stop: stop })
    }

    /// Runs a connection on the thread that has the fewest. Its sockets must be made there.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let least = self.threads.iter().min_by_key(|thread| thread.connections.load(Ordering::Relaxed));
        if let Some(thread) = least {
            thread.connections.fetch_add(1, Ordering::Relaxed);
            let counted = Counted(Arc::clone(&thread.connections));
            thread.runtime.spawn(async move {
                connection.await;
                drop(counted);
            });
        }
    }
}

impl Reactor {
    fn start(mut stopped: watch::Receiver<()>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name("nfs".to_owned()).spawn(move || {
            // Ends with an error, when the sender is gone.
            let _ = runtime.block_on(stopped.changed());
        })?;
        Ok(Self { runtime: handle, connections: Arc::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use tokio::sync::{Barrier, mpsc};

    /// Architecture section 2.7: connections spread over the threads, and each stays on its own.
    #[tokio::test]
    async fn connections_spread_evenly() {
        let reactors = Reactors::start(3).unwrap();
        let (told, mut threads) = mpsc::unbounded_channel();
        let together = Arc::new(Barrier::new(6));
        for _ in 0..6 {
            let (told, together) = (told.clone(), Arc::clone(&together));
            reactors.spawn(async move {
                together.wait().await;
                told.send(thread::current().id()).unwrap();
            });
        }
        drop(told);
        let mut seen = HashSet::new();
        let mut count = 0;
        while let Some(thread) = threads.recv().await {
            count += 1;
            seen.insert(thread);
        }
        assert_eq!((count, seen.len()), (6, 3));
    }
}
