//! The server: who knocks, who waits, who is in. Architecture section 2.1.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crypto::Prf;
use env::Env;
use nfs_state::ConnectionId;
use parking_lot::Mutex;
use rustls::server::ResolvesServerCert;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::certificate::ClientCertificate;
use crate::connection;
use crate::exports::{Authorize, Door, Exports, FileSystemId, Peer};
use crate::gate::Gate;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::reactors::Reactors;
use crate::record::Records;
use crate::rpc::Rpc;
use crate::shared::Shared;
use crate::tls::Tls;
use crate::transport::{Filled, Transport, TransportError};
use crate::waiting::{Place, Waiting};

/// The pause after an accept that failed for want of files or memory.
const PAUSE: Duration = Duration::from_secs(1);
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

/// The server's own part: who knocks, who waits, who is in.
pub(crate) struct House {
    pub(crate) shared: Arc<Shared>,
    tls: Tls,
    reactors: Reactors,
    pub(crate) waiting: Arc<Waiting>,
    memory: Arc<Memory>,
    stop: watch::Sender<bool>,
    next_connection: AtomicU64,
    /// Those that are served.
    pub(crate) connections: Mutex<HashMap<ConnectionId, Present>>,
}

/// A connection that is served.
pub(crate) struct Present {
    pub(crate) remote: SocketAddr,
}

/// An NFS server. Clones share it.
#[derive(Clone)]
pub struct Server {
    pub(crate) house: Arc<House>,
}

impl Server {
    /// A server that serves no listener yet.
    ///
    /// # Errors
    /// What TLS or the system says against it.
    pub fn new(parts: ServerParts) -> io::Result<Self> {
        let ServerParts { exports, authorize, certificates, identity, env, limits } = parts;
        let house = House {
            tls: Tls::new(certificates).map_err(io::Error::other)?,
            reactors: Reactors::start(thread::available_parallelism().map_or(1, NonZero::get))?,
            waiting: Waiting::new(limits.waiting_per_source_max, limits.waiting_max),
            memory: Memory::new(limits.memory_bytes_max),
            stop: watch::Sender::new(false),
            next_connection: AtomicU64::new(1),
            connections: Mutex::default(),
            shared: Arc::new(Shared::new(exports, authorize, identity, env, limits)),
        };
        Ok(Self { house: Arc::new(house) })
    }

    /// Accepts connections through the door until it is shut or the server stops. May be called for many listeners; dropping
    /// it ends the accepting, and the connections that came through it stay.
    pub async fn serve(&self, listener: TcpListener, door: Arc<Door>) -> io::Result<()> {
        let mut stop = self.house.stop.subscribe();
        let mut shut = pin!(door.is_shut());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = &mut shut => return Ok(()),
            };
            match accepted {
                Ok((stream, remote)) => {
                    if self.house.connections.lock().len() >= self.house.shared.limits.connections_max {
                        tracing::warn!(%remote, "connection dropped: too many");
                        continue;
                    }
                    let (house, door) = (Arc::clone(&self.house), Arc::clone(&door));
                    // Here, where connections are in their order: the oldest is the one that gives way.
                    let place = house.waiting.enter(remote.ip());
                    // The runtime that a socket is made on is the one that hears of it.
                    let stream = stream.into_std();
                    self.house.reactors.spawn(async move {
                        match stream.and_then(TcpStream::from_std) {
                            Ok(stream) => house.admit(stream, remote, door, place).await,
                            Err(error) => tracing::warn!(%remote, %error, "connection dropped"),
                        }
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Out of files or memory: later it may go again.
                    tracing::warn!(%error, "accept");
                    self.house.shared.env.sleep(PAUSE).await;
                }
            }
        }
    }

    /// Removes what time has overtaken, until the server stops. Runs beside `serve`, once.
    pub async fn sweep(&self) {
        let mut stop = self.house.stop.subscribe();
        let limits = &self.house.shared.limits;
        let shortest = (limits.lease() / 4).min(limits.idle_close / 2);
        let pause = shortest.clamp(Duration::from_millis(100), Duration::from_secs(15));
        loop {
            tokio::select! {
                () = self.house.shared.env.sleep(pause) => {}
                // The guard that `wait_for` gives must not live across the sweep.
                () = async { _ = stop.wait_for(|stop| *stop).await } => return,
            }
            self.house.shared.sweep().await;
        }
    }

    /// Stops accepting, lets what runs finish and be answered, and ends every connection.
    pub async fn stop(&self) {
        self.house.stop.send_replace(true);
        let deadline = self.house.shared.env.now() + STOP_MAX;
        while !self.house.connections.lock().is_empty() && self.house.shared.env.now() < deadline {
            self.house.shared.env.sleep(Duration::from_millis(10)).await;
        }
    }

    /// Policies, mount targets or access points have changed: each connection is asked for again at its next request.
    pub fn policies_changed(&self) {
        self.house.shared.policies_changed();
    }

    /// Forgets a file system that failed, was deleted or moved: its connections end, and the next one opens it again.
    /// Connections of the pseudo-root go on with the others.
    pub fn drop_file_system(&self, id: &FileSystemId) {
        self.house.shared.registry.drop_file_system(id);
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

/// Ends when a connection without a session has to give way.
async fn lost(mut place: Place, gate: &Gate) {
    tokio::select! {
        () = place.lost() => tracing::debug!("a connection without a session gave way"),
        () = gate.in_session() => {
            drop(place);
            std::future::pending().await
        }
    }
}

/// A connection among those that are served; however it ends, it is forgotten.
struct Listed<'a> {
    house: &'a House,
    id: ConnectionId,
    gate: Arc<Gate>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.house.connections.lock().remove(&self.id);
        if let Some(admitted) = self.gate.admitted() {
            admitted.server.state.lock().connection_closed(self.id);
        }
    }
}

impl House {
    /// A connection from its accept to its end, which comes at the latest when its door is shut.
    async fn admit(self: Arc<Self>, stream: TcpStream, remote: SocketAddr, door: Arc<Door>, place: Place) {
        let shut = door.is_shut();
        tokio::select! {
            biased;
            () = shut => tracing::debug!(%remote, "connection ended: its mount target is gone"),
            () = self.connection(stream, remote, door, place) => {}
        }
    }

    async fn connection(&self, stream: TcpStream, remote: SocketAddr, door: Arc<Door>, mut place: Place) {
        // Replies are written whole; nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let session = Arc::new(AtomicBool::new(false));
        let greeted = tokio::select! {
            greeted = self.greet(stream, door, Arc::clone(&session)) => greeted,
            () = self.shared.env.sleep(self.shared.limits.handshake_max) => Err(NotGreeted::TooLong),
            () = place.lost() => Err(NotGreeted::GaveWay),
        };
        let (transport, records, peer) = match greeted {
            Ok(greeted) => greeted,
            Err(reason) => {
                tracing::debug!(%remote, %reason, "no connection");
                return;
            }
        };
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let rpc = Rpc::new(Arc::clone(&self.shared), id, peer, session);
        let gate = rpc.gate();
        let present = self.list(id, remote, rpc.gate());
        let served =
            connection::serve(transport, records, rpc, &self.shared.limits, &self.shared.env, self.stop.subscribe());
        let ended = tokio::select! {
            ended = served => ended,
            () = gate.gone() => Ok(()),
            // Until it has a session it stands at the door, where nobody can keep others out.
            () = lost(place, &gate) => Ok(()),
        };
        if let Err(reason) = ended {
            tracing::debug!(%remote, %reason, "connection ended");
        }
        drop(present);
    }

    /// Counts the connection among those that are served, until what is returned goes.
    fn list(&self, id: ConnectionId, remote: SocketAddr, gate: Arc<Gate>) -> Listed<'_> {
        self.connections.lock().insert(id, Present { remote });
        Listed { house: self, id, gate }
    }

    /// From the first byte to the first whole request.
    async fn greet(
        &self,
        stream: TcpStream,
        door: Arc<Door>,
        session: Arc<AtomicBool>,
    ) -> Result<(Transport, Records, Peer), NotGreeted> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(NotGreeted::Ended);
        }
        let tls = match first {
            [0x16] => Some(self.tls.accept().map_err(TransportError::from)?),
            [0x80 | 0x00] => None,
            _ => return Err(NotGreeted::NeitherTlsNorRpc),
        };
        let mut records = Records::new(self.shared.limits.record_bytes_max).sharing(self.memory.share(session));
        let mut transport = Transport::new(stream, tls);
        transport.handshake(&mut records).await?;
        let (remote, local) = transport.addresses()?;
        let certificate = transport.tls().and_then(|tls| tls.certificate()).map(ClientCertificate::read);
        let (certificate, credible) = match certificate {
            Some(Ok(certificate)) => (Some(Arc::new(certificate)), true),
            Some(Err(bad)) => {
                // A mount then fails with a reason; one whose connection just ends tries again without end.
                tracing::warn!(%remote, reason = %bad, "its requests are refused");
                (None, false)
            }
            None => (None, true),
        };
        let server_name = transport.tls().and_then(|tls| tls.server_name());
        let secure = transport.tls().is_some();
        while !records.has_complete() {
            records.account(0, 0);
            if !records.has_room() {
                records.room().await;
            }
            transport.ready(true, false).await?;
            if transport.fill(&mut records)? == Filled::End && !records.has_complete() {
                return Err(NotGreeted::Ended);
            }
        }
        Ok((transport, records, Peer { remote, local, door, secure, server_name, certificate, credible }))
    }
}
