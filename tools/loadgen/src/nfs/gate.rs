//! All clients begin to work at once, and none clears up while another still works.

use tokio::sync::Barrier;

use super::session::Session;

/// The places where all wait for all, and the one who watches for them. At the start and at the end there are two, one behind
/// the other: between them nobody works, and the watcher may look and wait.
pub(crate) struct Gate {
    ready: Barrier,
    start: Barrier,
    end: Barrier,
    leave: Barrier,
}

impl Gate {
    /// For so many clients and the watcher.
    pub(crate) fn new(clients: u32) -> Self {
        let all = usize::try_from(clients).unwrap_or(usize::MAX).saturating_add(1);
        let barrier = || Barrier::new(all);
        Self { ready: barrier(), start: barrier(), end: barrier(), leave: barrier() }
    }

    /// A client is ready to work.
    pub(crate) async fn start(&self, session: &mut Session) -> Result<(), String> {
        wait(&self.ready, session).await?;
        wait(&self.start, session).await
    }

    /// A client has worked.
    pub(crate) async fn end(&self, session: &mut Session) -> Result<(), String> {
        wait(&self.end, session).await?;
        wait(&self.leave, session).await
    }

    /// The watcher waits until all are ready to work.
    pub(crate) async fn watch_ready(&self) {
        self.ready.wait().await;
    }

    /// The watcher lets them begin.
    pub(crate) async fn watch_start(&self) {
        self.start.wait().await;
    }

    /// The watcher waits until all have worked.
    pub(crate) async fn watch_end(&self) {
        self.end.wait().await;
    }

    /// The watcher lets them check and clear up.
    pub(crate) async fn watch_leave(&self) {
        self.leave.wait().await;
    }
}

/// Keeps the lease meanwhile.
async fn wait(barrier: &Barrier, session: &mut Session) -> Result<(), String> {
    let mut all_are_there = std::pin::pin!(barrier.wait());
    loop {
        tokio::select! {
            _ = &mut all_are_there => return Ok(()),
            () = tokio::time::sleep(session.renewal()) => session.renew().await?,
        }
    }
}
