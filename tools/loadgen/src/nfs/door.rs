//! The way to the server: a TCP connection, in the clear or under TLS.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Under TLS rustls asks for 4 KiB at a time; the socket is read in pieces of this size instead.
const READ_BYTES: usize = 128 * 1024;

/// A connection's two directions.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Where the server is, and how to speak to it.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Door {
    /// In the clear, or with a CA bundle and the server's name under TLS.
    pub(crate) fn new(server: &str, tls: Option<(&Path, &str)>) -> Result<Self, String> {
        let found = server.to_socket_addrs().map_err(|error| format!("{server}: {error}"))?.next();
        let address = found.ok_or_else(|| format!("{server}: no address"))?;
        let tls = tls.map(|(bundle, name)| connector(bundle, name)).transpose()?;
        Ok(Self { address, tls })
    }

    /// Whether TLS protects what goes through.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// A new connection.
    pub(crate) async fn open(&self) -> Result<Box<dyn Stream>, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.address);
        let stream = TcpStream::connect(self.address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => {
                let stream = BufReader::with_capacity(READ_BYTES, stream);
                Box::new(connector.connect(name.clone(), stream).await.map_err(failed)?)
            }
        })
    }
}

fn connector(bundle: &Path, name: &str) -> Result<(TlsConnector, ServerName<'static>), String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", bundle.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(bundle).map_err(|error| told(&error))? {
        roots.add(certificate.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).map_err(|error| format!("{name}: {error}"))?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}
