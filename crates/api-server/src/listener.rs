//! The HTTP listener: connections within bounds, requests to calls, a graceful stop.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use audit::AuditLog;
use aws_wire::ApiError;
use aws_wire::sigv4::Verifier;
use env::Env;
use hyper::body::Incoming as Body;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use identity::Identities;
use parking_lot::Mutex;
use policy::Authorize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::action::ServiceActions;
use crate::annotate::Annotate;
use crate::body::{self, BodyError, PIECE};
use crate::call::{House, Origin, Refusals};
use crate::ec2::{self, Zone};
use crate::iam_actions;
use crate::rates::{Rates, Throttle};
use crate::reply::{self, Health, Reply};
use crate::route::Incoming;
use crate::sts_actions;
use crate::watched::{Progress, Watched};
use crate::web_keys::WebKeys;

/// What the server stands on.
pub struct Parts {
    /// The services with their rows, STS, IAM and EC2 excepted: those are made here.
    pub services: Vec<ServiceActions>,
    /// Who is who.
    pub identities: Arc<Identities>,
    /// Who may what.
    pub authorize: Arc<dyn Authorize>,
    /// Where it is written down.
    pub audit: AuditLog,
    /// The region that signatures are made for.
    pub region: String,
    /// The zones of the configuration.
    pub zones: Vec<Zone>,
    /// Clock, randomness, ids.
    pub env: Env,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of everything that a peer can grow.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections in all.
    pub connections: usize,
    /// Open connections of one address.
    pub connections_per_address: usize,
    /// Calls at work at once.
    pub calls: usize,
    /// Bytes of one body.
    pub body_bytes: usize,
    /// Bytes of all bodies at once, as they came and as they are parsed.
    pub bodies_bytes: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// How long a head may take to arrive.
    pub head_time: Duration,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// A connection without a byte in either direction for so long is closed, unless a call is at work.
    pub idle_time: Duration,
    /// How many calls a second an account may make.
    pub rates: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 512,
            calls: 256,
            body_bytes: 1024 * 1024,
            bodies_bytes: 64 * 1024 * 1024,
            head_bytes: 64 * 1024,
            head_time: Duration::from_secs(15),
            body_time: Duration::from_secs(30),
            idle_time: Duration::from_secs(60),
            rates: Rates::default(),
        }
    }
}

/// The API server.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    house: House,
    limits: Limits,
    bodies: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    peers: Mutex<HashMap<IpAddr, usize>>,
    open: AtomicUsize,
    starting: AtomicBool,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Puts the server together.
    pub fn new(parts: Parts) -> Self {
        let Parts { mut services, identities, authorize, audit, region, zones, env, limits } = parts;
        services.push(sts_actions::actions(&identities));
        services.push(iam_actions::actions(&identities));
        services.push(ec2::actions(zones));
        let (verifier, refusals, throttled) = (Verifier::default(), Refusals::new(), Refusals::new());
        let (throttle, annotate) = (Throttle::new(limits.rates.clone()), OnceLock::new());
        let web_keys = WebKeys::new(env.clone());
        let house = House {
            services,
            identities,
            authorize,
            audit,
            verifier,
            region,
            env,
            refusals,
            annotate,
            throttle,
            throttled,
            web_keys,
        };
        Self(Arc::new(Shared {
            house,
            bodies: Arc::new(Semaphore::new(limits.bodies_bytes.div_ceil(PIECE))),
            calls: Arc::new(Semaphore::new(limits.calls)),
            limits,
            peers: Mutex::default(),
            open: AtomicUsize::new(0),
            starting: AtomicBool::new(false),
            stop: watch::Sender::new(false),
        }))
    }

    /// Who adds to the audit records of calls; set once, before the server serves.
    pub fn annotate(&self, annotate: Arc<dyn Annotate>) {
        // Of two nobody would know which one a record is from: the first stays.
        let _ = self.0.house.annotate.set(annotate);
    }

    /// Whether `/health` says that the house behind the API is still opening. Calls are served all the same.
    pub fn set_starting(&self, starting: bool) {
        self.0.starting.store(starting, Ordering::Release);
    }

    /// What [`Server::set_starting`] said last.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        self.0.starting.load(Ordering::Acquire)
    }

    /// Accepts connections in the clear until [`Server::stop`]: for loopback, or behind something that does TLS.
    pub async fn serve(&self, listener: TcpListener) {
        self.accept(listener, None).await;
    }

    /// Accepts connections over TLS until [`Server::stop`].
    pub async fn serve_tls(&self, listener: TcpListener, acceptor: TlsAcceptor) {
        self.accept(listener, Some(acceptor)).await;
    }

    async fn accept(&self, listener: TcpListener, acceptor: Option<TlsAcceptor>) {
        let mut stop = self.0.stop.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stopped| *stopped) => return,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address, acceptor.clone()),
                Err(error) => {
                    // Out of descriptors, or a connection that was gone before it was taken: neither may end the loop.
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.0.house.env.sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Takes no more connections, lets calls at work end, and closes what is still open after `grace`.
    pub async fn stop(&self, grace: Duration) {
        self.0.stop.send_replace(true);
        let env = &self.0.house.env;
        let end = env.now() + grace;
        let at_work =
            || self.0.open.load(Ordering::Acquire) > 0 || self.0.calls.available_permits() < self.0.limits.calls;
        while at_work() && env.now() < end {
            env.sleep(Duration::from_millis(20)).await;
        }
        if let Err(error) = self.0.house.audit.flush().await {
            tracing::error!(%error, "the audit log could not be synced at the end");
        }
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr, acceptor: Option<TlsAcceptor>) {
        let Some(place) = Place::take(self.0.clone(), address.ip()) else {
            tracing::warn!(%address, "too many connections; one was closed");
            return;
        };
        // A failure only costs latency.
        _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            match acceptor {
                None => connection(place, stream, address, false).await,
                Some(acceptor) => secured(place, stream, address, &acceptor).await,
            }
        });
    }
}

/// A connection's place among the bounded number.
struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Place {
    fn take(shared: Arc<Shared>, address: IpAddr) -> Option<Self> {
        {
            let mut peers = shared.peers.lock();
            let count = peers.entry(address).or_default();
            let full = *count >= shared.limits.connections_per_address
                || shared.open.load(Ordering::Acquire) >= shared.limits.connections;
            if full {
                if *count == 0 {
                    peers.remove(&address);
                }
                return None;
            }
            *count += 1;
            shared.open.fetch_add(1, Ordering::AcqRel);
        }
        Some(Self { shared, address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut peers = self.shared.peers.lock();
        if let Some(count) = peers.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.address);
            }
        }
        self.shared.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The handshake has as long as a request's head.
async fn secured(place: Place, stream: TcpStream, address: SocketAddr, acceptor: &TlsAcceptor) {
    let (env, limit) = (place.shared.house.env.clone(), place.shared.limits.head_time);
    let stream = tokio::select! {
        outcome = acceptor.accept(stream) => outcome,
        () = env.sleep(limit) => return,
    };
    match stream {
        Ok(stream) => connection(place, stream, address, true).await,
        Err(error) => tracing::debug!(%address, %error, "a handshake failed"),
    }
}

async fn connection<S>(place: Place, stream: S, address: SocketAddr, secure: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shared = place.shared.clone();
    let progress = Arc::new(Progress::default());
    let io = TokioIo::new(Watched::new(stream, progress.clone()));
    let (limits, env) = (&shared.limits, &shared.house.env);
    let service = service_fn(|request| {
        let (shared, progress) = (shared.clone(), progress.clone());
        async move {
            let _busy = progress.busy();
            Ok::<Reply, std::convert::Infallible>(respond(shared, request, address, secure).await)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head_bytes)
        .serve_connection(io, service);
    let mut served = pin!(served);
    let mut stop = shared.stop.subscribe();
    let mut stopping = false;
    loop {
        tokio::select! {
            outcome = &mut served => {
                if let Err(error) = outcome {
                    tracing::debug!(%address, %error, "a connection ended early");
                }
                return;
            }
            _ = stop.wait_for(|stopped| *stopped), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = env.sleep(limits.idle_time) => {
                if progress.stalled() {
                    tracing::debug!(%address, "a connection stood still and was closed");
                    return;
                }
            }
        }
    }
}

async fn respond(shared: Arc<Shared>, request: hyper::Request<Body>, address: SocketAddr, secure: bool) -> Reply {
    let house = &shared.house;
    let request_id = house.env.uuid();
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if path == "/health" {
        let health = match (house.audit.failed(), shared.starting.load(Ordering::Acquire)) {
            (true, _) => Health::Failed,
            (false, true) => Health::Starting,
            (false, false) => Health::Good,
        };
        return reply::health(health, &request_id);
    }
    let limits = &shared.limits;
    let read = match body::read(body, limits.body_bytes, limits.body_time, &shared.bodies, &house.env).await {
        Ok(read) => read,
        Err(error) => return unread(error, &request_id),
    };
    let Ok(permit) = shared.calls.clone().try_acquire_owned() else { return unread(BodyError::NoRoom, &request_id) };
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    let incoming = Incoming {
        method: head.method.as_str().to_owned(),
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: read,
    };
    let origin = Origin { address: address.ip().to_canonical(), secure, request_id: request_id.clone() };
    // A call runs to its end and its record is completed, whatever becomes of the connection.
    let work = shared.clone();
    let call = tokio::spawn(async move {
        let _permit = permit;
        work.house.answer(incoming, origin).await
    });
    call.await.unwrap_or_else(|error| {
        tracing::error!(%error, request_id, "a call ended abnormally");
        reply::error(None, &request_id, &ApiError::new("InternalFailure", 500, "The call ended abnormally."))
    })
}

/// The body was not read to its end, so the connection cannot go on.
fn unread(error: BodyError, request_id: &str) -> Reply {
    let mut reply = reply::error(None, request_id, &error.api_error());
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}
