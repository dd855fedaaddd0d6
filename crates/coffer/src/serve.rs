//! `coffer serve`: one process, until SIGTERM or SIGINT.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kms::root::{FileProvider, RootError, RootProvider};
use nfs_server::exports::FileSystemId;
use storage::Shard;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use crate::certificates;
use crate::config::Config;
use crate::house::House;
use crate::report::Reporter;
use crate::sealed::{self, Front};
use crate::{CofferError, hardening, installation, leftovers, log};
use crate::{admin, allocator};

/// How long calls and compounds at work may take to end when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) fn run(config_path: &Path) -> Result<(), CofferError> {
    let config = Config::read(config_path)?;
    log::start(&config.log)?;
    hardening::report();
    allocator::keep_large_buffers();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CofferError::stopped)?;
    let outcome = runtime.block_on(serve(config));
    // A journal that is being replayed on a thread of its own is not waited for; the next start begins anew.
    runtime.shutdown_timeout(STOP_GRACE);
    outcome
}

/// The signals that end the server. They are heard from the first moment on, however long something takes to open.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Self, CofferError> {
        let on = |kind| signal(kind).map_err(CofferError::stopped);
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn serve(config: Config) -> Result<(), CofferError> {
    let mut stop = Stop::listen()?;
    let house = tokio::select! {
        opened = open(&config) => Arc::new(opened?),
        () = stop.asked() => return Ok(()),
    };
    let api_listener = TcpListener::bind(config.api.listen).await.map_err(|error| {
        CofferError::Stopped(format!("api.listen = {}: {error}; is another server running there?", config.api.listen))
    })?;
    let admin_listener = admin::bind(&config.admin_socket())?;

    let worker = house.kms.spawn_worker();
    let mut tasks = background(&house, &config, admin_listener);
    let api = house.api.clone();
    let api_task = tokio::spawn(async move { api.serve(api_listener).await });
    if !config.api.listen.ip().is_loopback() {
        tracing::warn!(api = %config.api.listen, "the API is not encrypted and answers with plaintext data keys: let only loopback or a TLS proxy reach it");
    }
    tasks.spawn(open_house(Arc::clone(&house), config.clone()));
    let failed = tokio::select! {
        () = stop.asked() => false,
        () = failed_shard(&house.installation.control_shard) => true,
    };
    if failed {
        // Memory may say other than the disk of which keys are enabled: nothing is served by it, `/health` included.
        tracing::error!("the storage of the control records has failed: the server ends");
        api_task.abort();
    } else {
        tracing::info!("stopping");
    }
    house.listeners.close();
    house.api.stop(if failed { Duration::ZERO } else { STOP_GRACE }).await;
    api_task.abort();
    house.nfs.stop().await;
    worker.abort();
    tasks.shutdown().await;
    house.owner.close().await;
    if let Err(error) = house.audit.close().await {
        tracing::error!(%error, "the audit log did not close cleanly");
    }
    house.installation.close().await;
    if failed {
        return Err(CofferError::File {
            path: installation::control_directory(&config),
            why:
                "the storage of the control records has failed (the log says how); check the disk and start the server \
                  again: what was acknowledged is read back from it"
                    .to_owned(),
        });
    }
    tracing::info!("stopped");
    Ok(())
}

/// Opens the house; where its root key is not to be had, waits for it sealed.
async fn open(config: &Config) -> Result<House, CofferError> {
    let provider = Arc::new(installation::provider(config)?);
    let mut front: Option<Front> = None;
    loop {
        if let Err(RootError::Sealed { why, .. }) = look(&provider).await? {
            if let Some(front) = front.take() {
                front.end().await;
            }
            front = Some(sealed::wait(config, &provider, why).await?);
        }
        let opened = House::open_with(config, Arc::clone(&provider) as Arc<dyn RootProvider>).await;
        if opened.is_err() && matches!(look(&provider).await?, Err(RootError::Sealed { .. })) {
            // A replacement of the root key was interrupted: the one in force has other recipients.
            continue;
        }
        if let Some(front) = front {
            front.end().await;
        }
        return opened;
    }
}

/// Whether the root key is to be had. A token is asked in its own time.
async fn look(provider: &Arc<FileProvider>) -> Result<Result<(), RootError>, CofferError> {
    let provider = Arc::clone(provider);
    tokio::task::spawn_blocking(move || provider.load().map(drop)).await.map_err(CofferError::stopped)
}

/// What goes on beside the API and NFS. Whoever asks how it goes is answered from the first moment on.
fn background(house: &Arc<House>, config: &Config, admin_listener: UnixListener) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(key_notices(Arc::clone(house)));
    tasks.spawn(gone_file_systems(Arc::clone(house)));
    let nfs = Arc::clone(&house.nfs);
    tasks.spawn(async move { nfs.sweep().await });
    tasks.spawn(certificates::renew(
        Arc::clone(&house.certificate),
        Arc::clone(&house.authority),
        config.region.clone(),
        config.dns_suffix.clone(),
        house.installation.env.clone(),
    ));
    tasks.spawn(allocator::give_back(house.installation.env.clone()));
    hardening::report_memory();
    house.api.set_starting(true);
    let reporter = Reporter::new(Arc::clone(house), config.clone());
    tasks.spawn(admin::serve(admin_listener, Arc::new(reporter)));
    tasks
}

/// Ends when the shard takes no more changes.
async fn failed_shard(shard: &Arc<dyn Shard>) {
    if shard.fenced().wait_for(|fenced| *fenced).await.is_err() {
        // Closed, by ourselves.
        std::future::pending::<()>().await;
    }
}

/// Finishes what the last server left half done, and lets clients in. File systems are opened by whoever uses them first, which
/// begins their grace.
async fn open_house(house: Arc<House>, config: Config) {
    let known = house.control.file_systems().iter().map(|found| found.id.clone()).collect();
    let parent = installation::file_systems_directory(&config);
    // What is left of deleted file systems may be large; nobody waits for it.
    tokio::task::spawn_blocking(move || leftovers::tidy(&parent, &known));
    house.control.resume().await;
    house.api.set_starting(false);
    tracing::info!(api = %config.api.listen, nfs_port = config.nfs.port, data = %config.data.display(), "serving");
}

/// Passes notices of changed KMS keys on to the leases.
async fn key_notices(house: Arc<House>) {
    let mut events = house.kms.events();
    loop {
        match events.recv().await {
            Ok(notice) => house.owner.key_notice(Some(&notice)),
            Err(RecvError::Lagged(_)) => house.owner.key_notice(None),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Cuts connections to file systems that failed or were deleted.
async fn gone_file_systems(house: Arc<House>) {
    let mut gone = house.owner.gone();
    loop {
        match gone.recv().await {
            Ok(id) => house.nfs.drop_file_system(&FileSystemId::new(&id)),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use storage::memory::Memory;

    use super::*;

    /// docs/operations.md, "Install and start": the server ends when the storage of its records fails, and not before.
    #[tokio::test]
    async fn a_failed_shard_is_noticed() {
        let memory = Memory::new();
        let (shard, _) = memory.open();
        let waiting = tokio::time::timeout(Duration::from_millis(20), failed_shard(&shard)).await;
        assert!(waiting.is_err());
        // Whoever opens it next takes it away.
        let _next = memory.open();
        tokio::time::timeout(Duration::from_secs(20), failed_shard(&shard)).await.unwrap();
    }
}
