//! The tunnel process: from its settings to its end by SIGTERM.

use std::{fs, io::Write as _, os::fd::AsFd as _, path::Path, sync::Arc, time::Duration};

use env::Env;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};

use super::{TunnelSettings, connection, dial::Target, peer};
use crate::{
    LogFile, MountError,
    certificate::ClientKey,
    log_file::Level,
    tls::{self, Identity, TlsError},
};

/// The kernel opens at most 16 (`nconnect`), and new ones while old ones end.
const CONNECTIONS_MAX: usize = 64;

/// Why a tunnel does not start.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// Its settings do not read.
    #[error(transparent)]
    Settings(#[from] MountError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The name to check is no DNS name.
    #[error("{0}: not a DNS name")]
    Name(String),
    /// The system refuses something.
    #[error("{0}: {1}")]
    System(String, std::io::Error),
}

/// Says what happens, to the log and to the `mount.efs` that waits. What repeats is said once.
#[derive(Clone)]
pub struct Report {
    log: LogFile,
    label: Arc<str>,
    last: Arc<Mutex<String>>,
    to_mount: bool,
}

impl Report {
    /// A report that starts its lines with `label`; `to_mount` also writes them to standard output.
    #[must_use]
    pub fn new(log: LogFile, label: &str, to_mount: bool) -> Self {
        Self { log, label: label.into(), last: Arc::default(), to_mount }
    }

    /// One line for `mount.efs`: `ready`, `refused WHY`, `away WHY` or `failed WHY`.
    fn tell_mount(&self, line: &str) {
        if self.to_mount {
            let mut out = std::io::stdout().lock();
            // mount.efs is gone most of the time, and its pipe with it.
            drop(writeln!(out, "{}", line.replace(['\n', '\r'], " ")).and_then(|()| out.flush()));
        }
    }

    fn once(&self, level: Level, word: &str, text: &str) {
        {
            let mut last = self.last.lock();
            if *last == text {
                return;
            }
            text.clone_into(&mut last);
        }
        self.log.write(level, &format!("{}: {text}", self.label));
        if !word.is_empty() {
            self.tell_mount(&format!("{word} {text}"));
        }
    }

    pub(super) fn debug(&self, text: &str) {
        self.log.debug(&format!("{}: {text}", self.label));
    }

    pub(super) fn reached(&self) {
        let had_trouble = !std::mem::take(&mut *self.last.lock()).is_empty();
        let level = if had_trouble { Level::Info } else { Level::Debug };
        self.log.write(level, &format!("{}: connected to the server", self.label));
    }

    pub(super) fn refused(&self, why: &str) {
        self.once(Level::Error, "refused", why);
    }

    pub(super) fn away(&self, why: &str) {
        self.once(Level::Warning, "away", why);
    }

    pub(super) fn lost(&self, why: &str) {
        self.once(Level::Warning, "", why);
    }
}

/// Runs the tunnel of the settings at `path` until SIGTERM. A listening socket on standard input is served as it is;
/// without one the port is bound here.
///
/// # Errors
/// Why it cannot start; the waiting `mount.efs` has been told.
pub fn run(path: &Path, env: &Env) -> Result<(), TunnelError> {
    let settings = TunnelSettings::read(path)?;
    let log = LogFile::new(&settings.log_file, settings.log, env.clone());
    let report =
        Report::new(log, &format!("tunnel {} port {}", settings.claims.file_system, settings.accept.port()), true);
    let (said, usual) = (report.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        // Nobody reads a tunnel's standard error.
        said.log.error(&format!("{}: {panic}", said.label));
        usual(panic);
    }));
    let outcome = start(&settings, &report, env);
    if let Err(error) = &outcome {
        report.once(Level::Error, "failed", &error.to_string());
    }
    outcome
}

fn start(settings: &TunnelSettings, report: &Report, env: &Env) -> Result<(), TunnelError> {
    let system = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| TunnelError::System(what, error)
    };
    // What `ps` and `top` show; the system cuts it to 15 bytes.
    let _name = rustix::thread::set_name(c"efs-tunnel");
    // Its own session: whatever ends the shell that mounted does not end the mount. It fails for a leader only.
    let _already_leader = rustix::process::setsid();
    if let Some(namespace) = &settings.net_namespace {
        crate::net_namespace::enter(namespace).map_err(system("netns"))?;
    }
    let listener = listener(settings).map_err(system(&settings.accept.to_string()))?;
    listener.set_nonblocking(true).map_err(system("listener"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system("runtime"))?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).map_err(system("listener"))?;
        let mut stop = signal(SignalKind::terminate()).map_err(system("SIGTERM"))?;
        tokio::select! {
            outcome = serve(listener, settings, report.clone(), env.clone()) => outcome,
            _ = stop.recv() => Ok(()),
        }
    })?;
    runtime.shutdown_timeout(Duration::from_millis(100));
    report.debug("stopped");
    Ok(())
}

/// Standard input, if it is a listening socket on our port; else a socket of our own.
fn listener(settings: &TunnelSettings) -> std::io::Result<std::net::TcpListener> {
    let inherited = std::io::stdin().as_fd().try_clone_to_owned().map(std::net::TcpListener::from);
    if let Ok(inherited) = inherited
        && inherited.local_addr().is_ok_and(|address| address == settings.accept)
        && rustix::net::sockopt::socket_acceptconn(&inherited).unwrap_or(false)
    {
        return Ok(inherited);
    }
    std::net::TcpListener::bind(settings.accept)
}

/// Serves `listener` for ever.
///
/// # Errors
/// TLS that cannot be set up.
pub async fn serve(
    listener: TcpListener,
    settings: &TunnelSettings,
    report: Report,
    env: Env,
) -> Result<(), TunnelError> {
    let key = ClientKey::generate(settings.key).map_err(TlsError::Certificate)?;
    let identity = Arc::new(Identity::new(key, settings.claims.clone(), settings.renewal, env.clone())?);
    let mut target = target(settings, &identity)?;
    leave_copy(settings, &identity);
    let local = listener.local_addr().map_err(|error| TunnelError::System("listener".to_owned(), error))?;
    let mut renew = signal(SignalKind::hangup()).map_err(|error| TunnelError::System("SIGHUP".to_owned(), error))?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    report.tell_mount("ready");
    report.debug("ready");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = renew.recv() => {
                match identity.renew().and_then(|()| self::target(settings, &identity).map_err(flatten)) {
                    Ok(next) => target = next,
                    Err(error) => report.away(&error.to_string()),
                }
                leave_copy(settings, &identity);
                continue;
            }
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                report.away(&format!("accept: {error}"));
                env.sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if !peer::may_use(peer, local) {
            // Without the port, so that it is said once and no user can fill the log.
            report.lost(&format!("refused a connection from {}: not root's", peer.ip()));
            continue;
        }
        let Ok(place) = places.clone().try_acquire_owned() else {
            report.lost("refused a connection: too many");
            continue;
        };
        let (target, report, env, said) = (target.clone(), report.clone(), env.clone(), report.clone());
        let started = on_own_thread(socket, move |socket| async move {
            connection::serve(socket, target, report, env).await;
            drop(place);
        });
        if let Err(error) = started {
            said.away(&format!("a thread for a connection: {error}"));
        }
    }
}

/// Runs one connection on a thread of its own. The kernel's connections are few, each is one task, and a runtime that
/// shares tasks among threads would wake a second thread whenever bytes arrive.
fn on_own_thread<F: Future<Output = ()>>(
    socket: TcpStream,
    connection: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> std::io::Result<()> {
    let socket = socket.into_std()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        runtime.block_on(async move {
            if let Ok(socket) = TcpStream::from_std(socket) {
                connection(socket).await;
            }
        });
        // A name that is still being looked up is nobody's any more.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("efs-connection".to_owned()).spawn(run).map(drop)
}

fn flatten(error: TunnelError) -> TlsError {
    match error {
        TunnelError::Tls(error) => error,
        other => TlsError::Tls(rustls::Error::General(other.to_string())),
    }
}

fn target(settings: &TunnelSettings, identity: &Arc<Identity>) -> Result<Arc<Target>, TunnelError> {
    let name = ServerName::try_from(settings.server_name.clone())
        .map_err(|_| TunnelError::Name(settings.server_name.clone()))?;
    let config = Arc::new(tls::client_config(settings.check(), identity.clone())?);
    Ok(Arc::new(Target {
        host: settings.host.clone(),
        port: settings.host_port,
        name,
        config,
        known: Mutex::default(),
    }))
}

/// The certificate, for whoever wants to look at it.
fn leave_copy(settings: &TunnelSettings, identity: &Identity) {
    if let (Some(path), Some(certificate)) = (&settings.certificate_copy, identity.certificate()) {
        drop(fs::write(path, certificate));
    }
}
