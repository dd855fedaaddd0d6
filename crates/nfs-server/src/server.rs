//! The server: who knocks, who waits, who is in; file systems that open, fail and go; leases that run out.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crypto::Prf;
use env::Env;
use nfs_state::{ClientKey, ConnectionId, Dropped, Effects};
use parking_lot::Mutex;
use rustls::server::ResolvesServerCert;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::certificate::ClientCertificate;
use crate::connection;
use crate::exports::{Authorize, Exports, FileSystemId, Peer, Unavailable};
use crate::limits::Limits;
use crate::record::Records;
use crate::registry::{Registry, Served};
use crate::rpc::Rpc;
use crate::status::NfsError;
use crate::tls::Tls;
use crate::transport::{Filled, Transport, TransportError};
use crate::waiting::Waiting;

/// How often the server looks for what time has overtaken.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How long a stop waits for what runs.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What a server is made of.
pub struct ServerParts {
    /// The file systems.
    pub exports: Arc<dyn Exports>,
    /// The policies.
    pub authorize: Arc<dyn Authorize>,
    /// The server's certificates.
    pub certificates: Arc<dyn ResolvesServerCert>,
    /// Made once per installation and never changed: clients know virtual servers by what it gives.
    pub identity: Prf,
    /// Clocks and randomness.
    pub env: Env,
    /// Bounds.
    pub limits: Limits,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) exports: Arc<dyn Exports>,
    pub(crate) authorize: Arc<dyn Authorize>,
    pub(crate) registry: Registry,
    pub(crate) env: Env,
    pub(crate) limits: Limits,
    tls: Tls,
    pub(crate) waiting: Arc<Waiting>,
    stop: watch::Sender<bool>,
    next_connection: AtomicU64,
    /// Those that are served, and where they come from.
    pub(crate) connections: Mutex<HashMap<ConnectionId, Present>>,
}

/// A connection that is served.
pub(crate) struct Present {
    pub(crate) remote: SocketAddr,
    local: SocketAddr,
    cut: Arc<Notify>,
}

/// An NFS server. Clones share it.
#[derive(Clone)]
pub struct Server {
    pub(crate) shared: Arc<Shared>,
}

impl Server {
    /// A server that serves no listener yet.
    pub fn new(parts: ServerParts) -> Result<Self, rustls::Error> {
        let registry =
            Registry::new(Arc::clone(&parts.exports), parts.identity, parts.env.clone(), parts.limits.clone());
        let shared = Shared {
            exports: parts.exports,
            authorize: parts.authorize,
            registry,
            env: parts.env,
            tls: Tls::new(parts.certificates)?,
            waiting: Waiting::new(parts.limits.waiting_per_source_max, parts.limits.waiting_max),
            stop: watch::Sender::new(false),
            next_connection: AtomicU64::new(1),
            connections: Mutex::default(),
            limits: parts.limits,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Accepts connections until the server stops. May be called for many listeners; dropping it ends the accepting, and
    /// the connections that came through it stay.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let mut stop = self.shared.stop.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            };
            match accepted {
                Ok((stream, remote)) => {
                    if self.shared.connections.lock().len() >= self.shared.limits.connections_max {
                        tracing::warn!(%remote, "connection dropped: too many");
                        continue;
                    }
                    let shared = Arc::clone(&self.shared);
                    tokio::spawn(async move { shared.connection(stream, remote).await });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Out of files or memory: later it may go again.
                    tracing::warn!(%error, "accept");
                    self.shared.env.sleep(TICK).await;
                }
            }
        }
    }

    /// Removes what time has overtaken, until the server stops. Runs beside `serve`, once.
    pub async fn sweep(&self) {
        let mut stop = self.shared.stop.subscribe();
        let pause = (self.shared.limits.lease() / 4).clamp(Duration::from_millis(100), Duration::from_secs(15));
        loop {
            tokio::select! {
                () = self.shared.env.sleep(pause) => {}
                // The guard that `wait_for` gives must not live across the sweep.
                () = async { _ = stop.wait_for(|stop| *stop).await } => return,
            }
            self.shared.sweep().await;
        }
    }

    /// Stops accepting, lets what runs finish and be answered, and ends every connection.
    pub async fn stop(&self) {
        self.shared.stop.send_replace(true);
        let deadline = self.shared.env.now() + STOP_MAX;
        while !self.shared.connections.lock().is_empty() && self.shared.env.now() < deadline {
            self.shared.env.sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends every connection that came to this address, whatever runs on it: its mount target is gone.
    pub fn cut_address(&self, address: SocketAddr) {
        for present in self.shared.connections.lock().values().filter(|present| present.local == address) {
            present.cut.notify_one();
        }
    }

    /// Forgets a file system that failed, was deleted or moved: its connections end, and the next one opens it again.
    pub fn drop_file_system(&self, id: &FileSystemId) {
        self.shared.registry.drop_file_system(id);
    }
}

/// Errors that accept hands on from a connection that is gone already.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Why a connection never got to its first request.
#[derive(Debug, thiserror::Error)]
enum NotGreeted {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("neither TLS nor RPC")]
    NeitherTlsNorRpc,
    #[error("took too long")]
    TooLong,
    #[error("gave way to a newer connection")]
    GaveWay,
    #[error("ended without a request")]
    Ended,
}

impl From<io::Error> for NotGreeted {
    fn from(error: io::Error) -> Self {
        Self::Transport(error.into())
    }
}

impl Shared {
    async fn connection(self: Arc<Self>, stream: TcpStream, remote: SocketAddr) {
        // Replies are written whole; nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let mut place = self.waiting.enter(remote.ip());
        let greeted = tokio::select! {
            greeted = self.greet(stream) => greeted,
            () = self.env.sleep(self.limits.handshake_max) => Err(NotGreeted::TooLong),
            () = place.lost() => Err(NotGreeted::GaveWay),
        };
        drop(place);
        let (transport, records, peer) = match greeted {
            Ok(greeted) => greeted,
            Err(reason) => {
                tracing::debug!(%remote, %reason, "no connection");
                return;
            }
        };
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let cut = Arc::new(Notify::new());
        let present = Present { remote, local: peer.local, cut: Arc::clone(&cut) };
        self.connections.lock().insert(id, present);
        let rpc = Rpc::new(Arc::clone(&self), id, peer);
        let gate = rpc.gate();
        let served = connection::serve(transport, records, rpc, &self.limits, &self.env, self.stop.subscribe());
        let ended = tokio::select! {
            ended = served => ended,
            () = gate.gone() => Ok(()),
            () = cut.notified() => Ok(()),
        };
        if let Err(reason) = ended {
            tracing::debug!(%remote, %reason, "connection ended");
        }
        self.connections.lock().remove(&id);
        if let Some(admitted) = gate.admitted() {
            admitted.server.state.lock().connection_closed(id);
        }
    }

    /// From the first byte to the first whole request.
    async fn greet(&self, stream: TcpStream) -> Result<(Transport, Records, Peer), NotGreeted> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(NotGreeted::Ended);
        }
        let tls = match first {
            [0x16] => Some(self.tls.accept().map_err(TransportError::from)?),
            [0x80 | 0x00] => None,
            _ => return Err(NotGreeted::NeitherTlsNorRpc),
        };
        let mut records = Records::new(self.limits.record_bytes_max);
        let mut transport = Transport::new(stream, tls);
        transport.handshake(&mut records).await?;
        let (remote, local) = transport.addresses()?;
        let certificate = transport.tls().and_then(|tls| tls.certificate()).map(ClientCertificate::read);
        let certificate = match certificate {
            Some(Ok(certificate)) => Some(Arc::new(certificate)),
            Some(Err(bad)) => {
                // A claim that cannot be read is not the same as no claim.
                tracing::warn!(%remote, reason = %bad, "connection refused");
                return Err(NotGreeted::Ended);
            }
            None => None,
        };
        let server_name = transport.tls().and_then(|tls| tls.server_name());
        let secure = transport.tls().is_some();
        while !records.has_complete() {
            transport.ready(true, false).await?;
            if transport.fill(&mut records)? == Filled::End && !records.has_complete() {
                return Err(NotGreeted::Ended);
            }
        }
        Ok((transport, records, Peer { remote, local, secure, server_name, certificate }))
    }

    /// Opens a file system and attends to it until it is gone.
    pub(crate) async fn open(self: &Arc<Self>, id: &FileSystemId) -> Result<Arc<Served>, Unavailable> {
        let (served, fresh) = self.registry.open(id).await?;
        if fresh {
            let shared = Arc::clone(self);
            let attended = Arc::clone(&served);
            tokio::spawn(async move { shared.attend(&attended).await });
        }
        Ok(served)
    }

    async fn attend(&self, served: &Served) {
        let mut gone = served.gone.subscribe();
        let mut failed = served.filesystem.failed();
        let life = async {
            if let Err(error) = served.holdings.attend(&served.filesystem, &self.env).await {
                tracing::error!(file_system = %served.id, %error, "recovery");
            }
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
        if !expired.is_empty() {
            self.expire(&expired).await?;
        }
        Ok(())
    }

    /// Clients that lost their state to another lose their sessions, too.
    async fn expire(&self, keys: &[ClientKey]) -> Result<(), NfsError> {
        let mut dropped = Dropped::default();
        for server in self.registry.virtual_servers() {
            let mut state = server.state.lock();
            for key in keys {
                state.expire_client(*key, &mut dropped);
            }
        }
        for served in self.registry.open_file_systems() {
            self.forget(&served, &dropped).await?;
        }
        Ok(())
    }

    /// Forgets clients and sessions on one file system.
    pub(crate) async fn forget(&self, served: &Served, dropped: &Dropped) -> Result<(), NfsError> {
        if !dropped.clients.is_empty() {
            let ((), effects) = served.holdings.with(|state, effects| {
                for client in &dropped.clients {
                    state.forget_client(*client, effects);
                }
            });
            // These clients are gone already: there is nobody left to expire.
            let _ = served.holdings.settle(&served.filesystem, effects).await?;
        }
        for session in &dropped.sessions {
            served.filesystem.forget_session(session).await?;
        }
        Ok(())
    }

    async fn sweep(&self) {
        let now = self.env.now();
        let mut dropped = Dropped::default();
        for server in self.registry.virtual_servers() {
            server.state.lock().sweep(now, &mut dropped);
        }
        for served in self.registry.open_file_systems() {
            let ((), effects) = served.holdings.with(|state, effects| state.settle_grace(now, effects));
            let swept = match self.settle(&served, effects).await {
                Ok(()) => self.forget(&served, &dropped).await,
                Err(error) => Err(error),
            };
            if let Err(error) = swept {
                tracing::debug!(file_system = %served.id, %error, "sweep");
            }
        }
    }
}
