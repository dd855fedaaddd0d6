//! All clients begin to work at once, and none clears up while another still works.

use tokio::sync::Barrier;

use super::session::Session;

/// The two places where all wait for all, and the one who watches for them.
pub(crate) struct Gate {
    start: Barrier,
    end: Barrier,
}

impl Gate {
    /// For so many clients and the watcher.
    pub(crate) fn new(clients: u32) -> Self {
        let all = usize::try_from(clients).unwrap_or(usize::MAX).saturating_add(1);
        Self { start: Barrier::new(all), end: Barrier::new(all) }
    }

    /// A client is ready to work.
    pub(crate) async fn start(&self, session: &mut Session) -> Result<(), String> {
        wait(&self.start, session).await
    }

    /// A client has worked.
    pub(crate) async fn end(&self, session: &mut Session) -> Result<(), String> {
        wait(&self.end, session).await
    }

    /// The watcher waits for the beginning.
    pub(crate) async fn watch_start(&self) {
        self.start.wait().await;
    }

    /// The watcher waits for the end.
    pub(crate) async fn watch_end(&self) {
        self.end.wait().await;
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
