//! One connection to the mount target, TLS handshake included.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use env::Env;
use parking_lot::Mutex;
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::TlsConnector;

/// RFC 8305 section 8: how long one address is waited for before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);
/// How long the whole of it may take.
const LIMIT: Duration = Duration::from_secs(15);
/// How long the resolver is waited for when there is an address from before.
const RESOLVE_LIMIT: Duration = Duration::from_secs(4);
/// A name with more addresses than this is tried with the first ones.
const ADDRESSES_MAX: usize = 8;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum DialError {
    /// The server is not the one we want, or does not want us: waiting does not help.
    #[error("{0}")]
    Refused(String),
    /// The server is away.
    #[error("{0}")]
    Away(String),
}

/// Where to and how.
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) name: ServerName<'static>,
    pub(super) config: Arc<ClientConfig>,
    /// Where the name led to last: names and servers may be away at the same time, and the name comes back later.
    pub(super) known: Mutex<Vec<SocketAddr>>,
}

/// Connects and shakes hands.
pub(super) async fn dial(target: &Target, env: &Env) -> Result<(TcpStream, ClientConnection), DialError> {
    let at = format!("{}:{}", target.host, target.port);
    tokio::select! {
        outcome = attempt(target, env) => outcome,
        () = env.sleep(LIMIT) => Err(DialError::Away(format!("{at}: no answer within {} s", LIMIT.as_secs()))),
    }
}

async fn attempt(target: &Target, env: &Env) -> Result<(TcpStream, ClientConnection), DialError> {
    let at = format!("{}:{}", target.host, target.port);
    let away = |error: io::Error| DialError::Away(format!("{at}: {error}"));
    let addresses = addresses(target, env).await.map_err(away)?;
    let socket = connect_any(&addresses, env).await.map_err(away)?;
    tune(&socket);
    let connector = TlsConnector::from(target.config.clone());
    match connector.connect(target.name.clone(), socket).await {
        Ok(stream) => Ok(stream.into_inner()),
        Err(error) => Err(classify(&at, &target.name, &error)),
    }
}

/// What the name leads to, or led to when it was last heard of.
async fn addresses(target: &Target, env: &Env) -> io::Result<Vec<SocketAddr>> {
    let known = target.known.lock().clone();
    let found = tokio::select! {
        found = resolve(&target.host, target.port) => found,
        () = env.sleep(RESOLVE_LIMIT), if !known.is_empty() => Err(io::ErrorKind::TimedOut.into()),
    };
    match found {
        Ok(found) => {
            target.known.lock().clone_from(&found);
            Ok(found)
        }
        Err(_) if !known.is_empty() => Ok(known),
        Err(error) => Err(error),
    }
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let found: Vec<_> = tokio::net::lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect();
    if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
}

/// The first address that answers; a silent one does not hold up the next.
async fn connect_any(addresses: &[SocketAddr], env: &Env) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut rest = addresses.iter();
    let mut last = io::Error::other("no address");
    loop {
        match rest.next() {
            Some(address) => drop(attempts.spawn(TcpStream::connect(*address))),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let more = rest.len() > 0;
        tokio::select! {
            Some(outcome) = attempts.join_next() => match outcome {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(error)) => last = error,
                Err(error) => last = io::Error::other(error),
            },
            () = env.sleep(STAGGER), if more => {}
        }
    }
}

/// Small requests go at once, and a server that vanishes without a word is noticed: the kernel then asks anew.
fn tune(socket: &TcpStream) {
    use rustix::net::sockopt;
    drop(socket.set_nodelay(true));
    let settings = || {
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, Duration::from_secs(20))?;
        sockopt::set_tcp_keepintvl(socket, Duration::from_secs(5))?;
        sockopt::set_tcp_keepcnt(socket, 4)?;
        sockopt::set_tcp_user_timeout(socket, 40_000)
    };
    // Without them the connection still works.
    let _: Result<(), rustix::io::Errno> = settings();
}

fn classify(at: &str, name: &ServerName<'_>, error: &io::Error) -> DialError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => {
            DialError::Refused(format!("{at}: the server's certificate for {} is not good: {why}", name.to_str()))
        }
        Some(tls @ (rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_))) => {
            DialError::Refused(format!("{at}: TLS: {tls}"))
        }
        Some(tls @ rustls::Error::InvalidMessage(_)) => {
            DialError::Refused(format!("{at}: the server does not speak TLS: {tls}"))
        }
        _ => DialError::Away(format!("{at}: TLS handshake: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{certificate::ClientKey, testing::settings, tls::Identity};

    fn target(host: &str) -> Target {
        let settings = settings();
        let key = ClientKey::generate(settings.key).unwrap();
        let identity = Identity::new(key, settings.claims.clone(), settings.renewal, Env::real()).unwrap();
        let check = crate::tunnel::TunnelSettings { ca_file: None, ..settings };
        let config = crate::tls::client_config(check.check(), Arc::new(identity)).unwrap();
        let name = ServerName::try_from("fs-1.efs.us-east-1.coffer.test").unwrap();
        Target { host: host.into(), port: 2049, name, config: Arc::new(config), known: Mutex::default() }
    }

    /// docs/mount-helper.md, what happens when something breaks: a name that does not resolve any more leads to where it
    /// led before.
    #[tokio::test]
    async fn a_name_that_is_lost_leads_where_it_led() {
        let env = Env::real();
        // No resolver takes a label of this length, so the answer is there at once.
        let lost = target(&"x".repeat(80));
        addresses(&lost, &env).await.unwrap_err();
        let before = vec![SocketAddr::from(([127, 0, 0, 9], 2049))];
        lost.known.lock().clone_from(&before);
        assert_eq!(addresses(&lost, &env).await.unwrap(), before);
        let found = target("127.0.0.8");
        found.known.lock().clone_from(&before);
        assert_eq!(addresses(&found, &env).await.unwrap(), [SocketAddr::from(([127, 0, 0, 8], 2049))]);
        assert_eq!(*found.known.lock(), [SocketAddr::from(([127, 0, 0, 8], 2049))]);
    }
}
