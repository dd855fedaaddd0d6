//! One HTTP request and its answer: for the instance metadata and the EFS API. Everything has a limit.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use env::Env;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// DescribeMountTargets answers with a page of at most 100 small descriptions.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Where systems keep the roots that browsers trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) error_type: Option<String>,
    pub(crate) body: Bytes,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) endpoint: Endpoint,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) limit: Duration,
}

/// Where it is asked: an `endpoint_url` taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// A path in front of the API's own, without the slash at its end.
    pub(crate) prefix: String,
}

impl Endpoint {
    /// Reads `http[s]://host[:port][/prefix]`.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let bad = || format!("{url}: not an http or https URL");
        let uri: hyper::Uri = url.parse().map_err(|_| bad())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host, port, prefix: uri.path().trim_end_matches('/').to_owned() })
    }

    /// The `host` header: the port only where it is not the scheme's own.
    pub(crate) fn host_header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.host_header(), self.prefix)
    }
}

/// Asks and waits for the whole answer; the text of an error names what failed.
pub(crate) fn ask(ask: &Ask, env: &Env) -> Result<Answer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = exchange(ask) => outcome,
            () = env.sleep(ask.limit) => Err(format!("no answer within {:?}", ask.limit)),
        }
    });
    // A name that does not resolve must not hold the process.
    runtime.shutdown_background();
    outcome
}

async fn exchange(ask: &Ask) -> Result<Answer, String> {
    let to = &ask.endpoint;
    let socket = TcpStream::connect((to.host.as_str(), to.port)).await.map_err(|error| error.to_string())?;
    if !to.secure {
        return over(ask, socket).await;
    }
    let name = ServerName::try_from(to.host.clone()).map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(system_trust()?));
    over(ask, connector.connect(name, socket).await.map_err(|error| error.to_string())?).await
}

async fn over(ask: &Ask, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Answer, String> {
    let told = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    drop(tokio::spawn(connection));
    let mut request = Request::builder().method(ask.method).uri(&ask.target);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(told)?;
    let status = answer.status().as_u16();
    let error_type = answer.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
    Ok(Answer { status, error_type, body: body.to_bytes() })
}

/// The roots of `AWS_CA_BUNDLE`, else the system's.
fn system_trust() -> Result<ClientConfig, String> {
    let named = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let usual = || SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
    let bundle = named.or_else(usual).ok_or("no CA bundle on this system; set AWS_CA_BUNDLE")?;
    let told = |error: rustls::pki_types::pem::Error| format!("{}: {error}", bundle.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&bundle).map_err(told)? {
        drop(roots.add(certificate.map_err(told)?));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS SDKs, endpoint_url: scheme, host, port and prefix.
    #[test]
    fn endpoints_are_taken_apart() {
        let endpoint = Endpoint::parse("http://127.0.0.1:4566").unwrap();
        assert_eq!((endpoint.secure, endpoint.port, endpoint.prefix.as_str()), (false, 4566, ""));
        assert_eq!(endpoint.host_header(), "127.0.0.1:4566");
        let endpoint = Endpoint::parse("https://api.example/efs/").unwrap();
        assert_eq!((endpoint.host_header().as_str(), endpoint.prefix.as_str()), ("api.example", "/efs"));
        assert_eq!(endpoint.to_string(), "https://api.example/efs");
        let endpoint = Endpoint::parse("http://[::1]:80").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.host_header().as_str()), ("::1", "[::1]"));
        assert!(Endpoint::parse("ftp://x").is_err() && Endpoint::parse("api.example").is_err());
    }
}
