//! What `control` asks of the network: listening on mount targets' addresses.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use control::{MountTarget, Network, ProvisionError};
use nfs_server::exports::Door;
use parking_lot::Mutex;
use storage::BoxFuture;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One listener for each mount target. What it stands for is fixed here, when it is bound.
pub(crate) struct Listeners {
    port: u16,
    server: OnceLock<Arc<nfs_server::Server>>,
    open: Mutex<BTreeMap<String, Listener>>,
}

struct Listener {
    task: JoinHandle<()>,
    door: Arc<Door>,
}

impl Listeners {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, server: OnceLock::new(), open: Mutex::default() }
    }

    /// Gives the NFS server, which is made after the control plane.
    pub(crate) fn join(&self, server: Arc<nfs_server::Server>) {
        // Set once, by `serve`.
        let _ = self.server.set(server);
    }

    /// Stops accepting everywhere.
    pub(crate) fn close(&self) {
        for (_, listener) in std::mem::take(&mut *self.open.lock()) {
            listener.task.abort();
        }
    }

    fn address(&self, target: &MountTarget) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(target.address), self.port)
    }

    async fn listen(&self, target: &MountTarget) -> Result<(), ProvisionError> {
        let server = self.server.get().ok_or_else(|| ProvisionError("the NFS server is not open yet".to_owned()))?;
        if self.open.lock().get(&target.id).is_some_and(|listener| !listener.task.is_finished()) {
            return Ok(());
        }
        let address = self.address(target);
        let listener = TcpListener::bind(address).await.map_err(|error| not_bound(address, &error))?;
        let (server, id) = (Arc::clone(server), target.id.clone());
        let door = Door::of_mount_target(&target.id);
        let through = Arc::clone(&door);
        let task = tokio::spawn(async move {
            if let Err(error) = server.serve(listener, through).await {
                tracing::error!(mount_target = id, %error, "accepts no more clients");
            }
        });
        if let Some(old) = self.open.lock().insert(target.id.clone(), Listener { task, door }) {
            old.door.shut();
        }
        tracing::info!(mount_target = target.id, %address, file_system = target.file_system, "accepts clients");
        Ok(())
    }
}

/// Cause and cure of an address that cannot be listened on.
fn not_bound(address: SocketAddr, error: &std::io::Error) -> ProvisionError {
    let cure = match error.kind() {
        ErrorKind::AddrInUse => {
            "another program listens there, perhaps the kernel's NFS server on every address; stop it, or change nfs.port"
        }
        ErrorKind::AddrNotAvailable => "configure the address on an interface of this machine",
        ErrorKind::PermissionDenied => "a port below 1024 needs root or CAP_NET_BIND_SERVICE",
        _ => "the mount target is tried again",
    };
    ProvisionError(format!("{address}: {error}; {cure}"))
}

impl Network for Listeners {
    fn attach<'a>(&'a self, target: &'a MountTarget) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(self.listen(target))
    }

    fn detach<'a>(&'a self, target: &'a MountTarget) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async {
            let listener = self.open.lock().remove(&target.id);
            if let Some(listener) = listener {
                listener.door.shut();
                // The socket is closed when the task is gone; the address may be asked for again at once.
                let _ = listener.task.await;
            }
            if let Some(server) = self.server.get() {
                server.policies_changed();
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/operations.md: the reason of a mount target in `error` names the cure of its own cause.
    #[test]
    fn each_cause_has_its_own_cure() {
        let told = |kind: ErrorKind| not_bound(SocketAddr::from(([127, 0, 0, 1], 2049)), &kind.into()).0;
        assert!(told(ErrorKind::AddrInUse).contains("another program listens there"));
        assert!(told(ErrorKind::AddrNotAvailable).contains("on an interface"));
        assert!(told(ErrorKind::PermissionDenied).contains("needs root"));
    }
}
