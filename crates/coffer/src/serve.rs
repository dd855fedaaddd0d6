//! `coffer serve`: one process, until SIGTERM or SIGINT.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nfs_server::exports::FileSystemId;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;

use crate::admin;
use crate::certificates;
use crate::config::Config;
use crate::house::House;
use crate::report::Reporter;
use crate::{CofferError, hardening, log};

/// How long calls and compounds at work may take to end when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) fn run(config_path: &Path) -> Result<(), CofferError> {
    let config = Config::read(config_path)?;
    log::start(&config.log)?;
    hardening::apply();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CofferError::stopped)?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), CofferError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CofferError::stopped)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CofferError::stopped)?;
    let house = Arc::new(House::open(&config).await?);
    let env = house.installation.env.clone();
    let api_listener = TcpListener::bind(config.api.listen).await.map_err(|error| {
        CofferError::Stopped(format!("api.listen = {}: {error}; is another server running there?", config.api.listen))
    })?;
    let admin_listener = admin::bind(&config.admin_socket())?;

    let worker = house.kms.spawn_worker();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(key_notices(Arc::clone(&house)));
    tasks.spawn(gone_file_systems(Arc::clone(&house)));
    let nfs = Arc::clone(&house.nfs);
    tasks.spawn(async move { nfs.sweep().await });
    tasks.spawn(certificates::renew(
        Arc::clone(&house.certificate),
        Arc::clone(&house.authority),
        config.region.clone(),
        config.dns_suffix.clone(),
        env.clone(),
    ));
    // File systems are opened before clients come, so that grace begins when the server does.
    open_all(&house).await;
    house.control.resume().await.map_err(CofferError::stopped)?;
    let reporter = Reporter::new(Arc::clone(&house), config.clone());
    tasks.spawn(admin::serve(admin_listener, Arc::new(reporter)));
    let api = house.api.clone();
    let api_task = tokio::spawn(async move { api.serve(api_listener).await });
    tracing::info!(api = %config.api.listen, nfs_port = config.nfs.port, data = %config.data.display(), "serving");

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    house.listeners.close();
    house.api.stop(STOP_GRACE).await;
    api_task.abort();
    house.nfs.stop().await;
    worker.abort();
    tasks.shutdown().await;
    house.owner.close().await;
    if let Err(error) = house.audit.close().await {
        tracing::error!(%error, "the audit log did not close cleanly");
    }
    if let Ok(house) = Arc::try_unwrap(house) {
        house.installation.close().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Opens what clients may still hold state on, through the NFS server, which begins grace with it.
async fn open_all(house: &House) {
    for file_system in house.control.file_systems() {
        if file_system.state == control::Lifecycle::Available {
            // What cannot be opened is logged by the owner, shown by `coffer status`, and tried again on use.
            let _ = house.nfs.open(&FileSystemId::new(&file_system.id)).await;
        }
    }
}

/// Passes notices of changed KMS keys on to the leases.
async fn key_notices(house: Arc<House>) {
    let mut events = house.kms.events();
    loop {
        match events.recv().await {
            Ok(notice) => house.owner.key_notice(Some(&notice.key_arn)).await,
            Err(RecvError::Lagged(_)) => house.owner.key_notice(None).await,
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
