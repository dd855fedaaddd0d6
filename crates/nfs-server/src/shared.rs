//! What all connections of a server share: file systems that open, fail and go; state that is settled; leases that run out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crypto::Prf;
use env::Env;
use filesystem::FsError;
use futures_util::{StreamExt as _, stream};
use nfs_state::{ClientKey, Dropped, Effects};

use crate::exports::{Authorize, Exports, FileSystemId, Unavailable};
use crate::limits::Limits;
use crate::registry::{Registry, Virtual};
use crate::served::{Served, Use};
use crate::status::NfsError;

/// How many idle file systems are closed at once: each writes its tables, and clients wait for the same disk.
const CLOSINGS_MAX: usize = 4;

/// The file systems, the policies and the bounds of a server.
pub(crate) struct Shared {
    pub(crate) exports: Arc<dyn Exports>,
    pub(crate) authorize: Arc<dyn Authorize>,
    pub(crate) registry: Registry,
    pub(crate) env: Env,
    pub(crate) limits: Limits,
    /// How often policies are known to have changed.
    policies: AtomicU64,
    /// Held while idle file systems are being closed.
    closing: Arc<tokio::sync::Mutex<()>>,
}

impl Shared {
    pub(crate) fn new(
        exports: Arc<dyn Exports>,
        authorize: Arc<dyn Authorize>,
        identity: Prf,
        env: Env,
        limits: Limits,
    ) -> Self {
        let registry = Registry::new(Arc::clone(&exports), identity, env.clone(), limits.clone());
        Self { exports, authorize, registry, env, limits, policies: AtomicU64::new(0), closing: Arc::default() }
    }

    /// Answers of the policies from before now hold no more.
    pub(crate) fn policies_changed(&self) {
        self.policies.fetch_add(1, Ordering::Relaxed);
    }

    /// The state of the policies, to be compared with that of an answer.
    pub(crate) fn policies(&self) -> u64 {
        self.policies.load(Ordering::Relaxed)
    }

    /// A use of the file system, which is opened, and attended to until it is gone, if it is not open yet.
    pub(crate) async fn open(self: &Arc<Self>, id: &FileSystemId) -> Result<Use, Unavailable> {
        if let Some(open) = self.registry.entered(id) {
            return Ok(open);
        }
        let (shared, id) = (Arc::clone(self), id.clone());
        // Whoever asked may go away meanwhile, and comes again; what has begun to open is then open, and known to be.
        let opening = tokio::spawn(async move {
            let (open, fresh) = shared.registry.open(&id).await?;
            if fresh {
                let (shared, attended) = (Arc::clone(&shared), Arc::clone(open.served()));
                tokio::spawn(async move { shared.attend(&attended).await });
            }
            Ok(open)
        });
        opening.await.unwrap_or_else(|error| Err(Unavailable::Later(error.to_string())))
    }

    async fn attend(&self, served: &Served) {
        let mut gone = served.gone.subscribe();
        let mut failed = served.filesystem.failed();
        let life = async {
            served.holdings.attend(&served.filesystem, &self.env, self.limits.replies_kept()).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = gone.wait_for(|gone| *gone) => {}
            failed = failed.wait_for(|failed| *failed) => {
                if failed.is_ok() {
                    tracing::error!(file_system = %served.id, "the file system failed; its connections end");
                }
                self.registry.drop_file_system(&served.id);
            }
            () = life => {}
        }
    }

    /// Carries out the effects of a change of state on a file system.
    pub(crate) async fn settle(&self, served: &Served, effects: Effects) -> Result<(), NfsError> {
        let expired = served.holdings.settle(&served.filesystem, effects).await?;
        self.expire(&expired).await;
        Ok(())
    }

    /// The same for what goes on while the file system is sealed.
    pub(crate) async fn settle_sealed(&self, served: &Served, effects: Effects) -> Result<(), NfsError> {
        let expired = served.holdings.settle_sealed(&served.filesystem, effects).await?;
        self.expire(&expired).await;
        Ok(())
    }

    /// Clients that lost their state to another lose their sessions, too. What goes wrong with that is not the fault of who
    /// wanted what they held.
    async fn expire(&self, keys: &[ClientKey]) {
        if keys.is_empty() {
            return;
        }
        for server in self.registry.virtual_servers() {
            let mut dropped = Dropped::default();
            {
                let mut state = server.state.lock();
                for key in keys {
                    state.expire_client(*key, &mut dropped);
                }
            }
            self.forget_everywhere(&server, &dropped).await;
        }
    }

    /// Forgets clients and sessions of a virtual server on all that it reaches, each on its own: one file system's trouble
    /// is not another's.
    async fn forget_everywhere(&self, server: &Virtual, dropped: &Dropped) {
        if dropped.clients.is_empty() && dropped.sessions.is_empty() {
            return;
        }
        for served in self.registry.reached(&server.key) {
            if let Err(error) = self.forget(&served, dropped).await {
                tracing::warn!(file_system = %served.id, %error, "clients that are gone leave records behind");
            }
        }
    }

    /// Forgets clients and sessions on one file system. What they held is given back in any case; an error means that records of
    /// theirs stay.
    pub(crate) async fn forget(&self, served: &Served, dropped: &Dropped) -> Result<(), NfsError> {
        let mut outcome = Ok(());
        if !dropped.clients.is_empty() {
            let ((), effects) = served.holdings.with(|state, effects| {
                for client in &dropped.clients {
                    state.forget_client(*client, effects);
                }
            });
            // These clients are gone already: there is nobody left to expire.
            outcome = served.holdings.settle_sealed(&served.filesystem, effects).await.map(drop);
        }
        for session in &dropped.sessions {
            match served.filesystem.forget_session(session).await {
                // What is left behind is forgotten after the next start.
                Ok(()) | Err(FsError::Sealed(_)) => {}
                Err(error) => outcome = outcome.and(Err(error.into())),
            }
        }
        outcome
    }

    /// Removes what time has overtaken.
    pub(crate) async fn sweep(self: &Arc<Self>) {
        let now = self.env.now();
        for server in self.registry.virtual_servers() {
            let mut dropped = Dropped::default();
            server.state.lock().sweep(now, &mut dropped);
            self.forget_everywhere(&server, &dropped).await;
        }
        self.registry.tidy();
        for served in self.registry.open_file_systems() {
            let ((), effects) = served.holdings.with(|state, effects| state.settle_grace(now, effects));
            // While it is sealed its records wait; they are written before anything new is granted.
            if let Err(error) = self.settle_sealed(&served, effects).await {
                tracing::debug!(file_system = %served.id, %error, "sweep");
            }
        }
        self.close_idle();
    }

    /// Closes what nobody has used for long enough. Beside the sweep, since leases run out however long a disk takes.
    fn close_idle(self: &Arc<Self>) {
        let idle = self.registry.idle();
        if idle.is_empty() {
            return;
        }
        let Ok(turn) = Arc::clone(&self.closing).try_lock_owned() else { return };
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let closing = stream::iter(&idle).for_each_concurrent(CLOSINGS_MAX, |id| shared.registry.close_idle(id));
            closing.await;
            drop(turn);
        });
    }
}
