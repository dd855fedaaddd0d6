//! The public keys of OpenID Connect providers: fetched, kept for a while, fetched anew when a token is signed by another.
//!
//! OpenID Connect Discovery 1.0, section 4: the issuer's document names the key set. Whoever may register a provider makes
//! this server ask it, so what it asks and how long it waits is bounded, and redirections are not followed. Calls that
//! lead here are unsigned: a provider is asked at most every half a minute, whoever calls.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_wire::ApiError;
use env::{Env, Instant};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST};
use hyper_util::rt::TokioIo;
use identity::{IdentityError, Presented, ProviderKeys};
use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Keys are kept for so long.
const KEPT: Duration = Duration::from_secs(3600);
/// A provider is asked again after so long, not sooner.
const ASKED_AGAIN: Duration = Duration::from_secs(30);
/// One answer may take so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// One document has at most so many bytes.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// So many providers are remembered.
const PROVIDERS_MAX: usize = 256;
/// Where Debian keeps the certificates of public authorities; `SSL_CERT_FILE` names another place.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What is known of a provider.
type Entry = Arc<tokio::sync::Mutex<Option<Asked>>>;

/// The last time that a provider was asked.
struct Asked {
    at: Instant,
    keys: Result<Arc<ProviderKeys>, String>,
}

/// Fetches and keeps keys.
pub(crate) struct WebKeys {
    env: Env,
    entries: Mutex<HashMap<Presented, Entry>>,
    authorities: OnceLock<Arc<RootCertStore>>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl WebKeys {
    pub(crate) fn new(env: Env) -> Self {
        Self { env, entries: Mutex::default(), authorities: OnceLock::new() }
    }

    /// The keys of a provider as they are known, fetched if they are not.
    pub(crate) async fn known(&self, provider: &Presented) -> Result<Arc<ProviderKeys>, ApiError> {
        self.younger_than(provider, KEPT).await
    }

    /// The keys of a provider, fetched anew unless that was done just now.
    pub(crate) async fn renewed(&self, provider: &Presented) -> Result<Arc<ProviderKeys>, ApiError> {
        self.younger_than(provider, ASKED_AGAIN).await
    }

    async fn younger_than(&self, provider: &Presented, age: Duration) -> Result<Arc<ProviderKeys>, ApiError> {
        let entry = {
            let mut entries = self.entries.lock();
            if entries.len() >= PROVIDERS_MAX && !entries.contains_key(provider) {
                entries.clear();
            }
            entries.entry(provider.clone()).or_default().clone()
        };
        // One asks, the others wait for what it learns.
        let mut asked = entry.lock().await;
        let now = self.env.now();
        let fresh = asked.as_ref().filter(|asked| {
            let age = if asked.keys.is_ok() { age } else { ASKED_AGAIN };
            now.since(asked.at) < age
        });
        let keys = match fresh {
            Some(asked) => asked.keys.clone(),
            None => {
                let keys = self.fetch(provider).await;
                if let Err(why) = &keys {
                    tracing::warn!(issuer = provider.issuer, why, "an identity provider's keys could not be fetched");
                }
                *asked = Some(Asked { at: now, keys: keys.clone() });
                keys
            }
        };
        keys.map_err(|_| {
            let text = "Couldn't retrieve verification key from your identity provider, please reference \
                        AssumeRoleWithWebIdentity documentation for requirements";
            IdentityError::InvalidIdentityToken(text.to_owned()).into()
        })
    }

    async fn fetch(&self, provider: &Presented) -> Result<Arc<ProviderKeys>, String> {
        let issuer = provider.issuer.trim_end_matches('/');
        let document = self.get(&format!("{issuer}/.well-known/openid-configuration"), provider).await?;
        let discovery: Discovery =
            serde_json::from_slice(&document).map_err(|error| format!("the discovery document: {error}"))?;
        if discovery.issuer.trim_end_matches('/') != issuer {
            return Err(format!("the discovery document is that of another issuer, {:?}", discovery.issuer));
        }
        let place = discovery.jwks_uri.split('?').next().unwrap_or_default();
        if !identity::is_provider_url(place) {
            return Err(format!("the key set is at {:?}, which is not asked", discovery.jwks_uri));
        }
        let set = self.get(&discovery.jwks_uri, provider).await?;
        ProviderKeys::parse(&set).map(Arc::new).ok_or_else(|| "the key set is no JWK set".to_owned())
    }

    async fn get(&self, url: &str, provider: &Presented) -> Result<Bytes, String> {
        tokio::select! {
            outcome = self.ask(url, provider) => outcome.map_err(|why| format!("{url}: {why}")),
            () = self.env.sleep(PATIENCE) => Err(format!("{url}: no answer in {} s", PATIENCE.as_secs())),
        }
    }

    async fn ask(&self, url: &str, provider: &Presented) -> Result<Bytes, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
        let host = uri.host().ok_or("no host")?.trim_matches(['[', ']']).to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|error| error.to_string())?;
        if !secure {
            return exchange(stream, &uri).await;
        }
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::new(self.tls(provider)?));
        let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        exchange(stream, &uri).await
    }

    fn tls(&self, provider: &Presented) -> Result<ClientConfig, String> {
        let crypto = Arc::new(aws_lc_rs::default_provider());
        let authorities = self.authorities.get_or_init(|| Arc::new(public_authorities())).clone();
        let verifier = Verifier { authorities, thumbprints: provider.thumbprints.clone(), crypto: crypto.clone() };
        let config = ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?.dangerous();
        Ok(config.with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
    }
}

/// One request, one answer.
async fn exchange<S>(stream: S, uri: &Uri) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let driver = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = hyper::Request::get(path).header(HOST, authority).header(ACCEPT, "application/json");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(failed)?;
    if answer.status() != 200 {
        return Err(format!("HTTP status {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), DOCUMENT_BYTES_MAX).collect().await;
    driver.abort();
    Ok(body.map_err(|error| error.to_string())?.to_bytes())
}

/// The public authorities that this machine trusts; none when it has no list.
fn public_authorities() -> RootCertStore {
    let path = std::env::var("SSL_CERT_FILE").unwrap_or_else(|_| AUTHORITIES.to_owned());
    let mut store = RootCertStore::empty();
    if let Ok(certificates) = CertificateDer::pem_file_iter(&path) {
        store.add_parsable_certificates(certificates.flatten());
    }
    store
}

/// A server is believed when its certificate leads to a public authority, or to a certificate with a registered
/// fingerprint. Name, dates and signatures count either way. IAM User Guide, "Obtain the thumbprint for an OpenID Connect
/// identity provider".
#[derive(Debug)]
struct Verifier {
    authorities: Arc<RootCertStore>,
    thumbprints: Vec<String>,
    crypto: Arc<CryptoProvider>,
}

impl Verifier {
    fn by(&self, roots: Arc<RootCertStore>) -> Option<Arc<WebPkiServerVerifier>> {
        WebPkiServerVerifier::builder_with_provider(roots, self.crypto.clone()).build().ok()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let judge = |verifier: Arc<WebPkiServerVerifier>| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let unknown = || Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer));
        let mut outcome = self.by(self.authorities.clone()).map_or_else(unknown, judge);
        for certificate in intermediates {
            if outcome.is_ok() || !self.thumbprints.contains(&identity::thumbprint(certificate)) {
                continue;
            }
            let mut roots = RootCertStore::empty();
            if roots.add(certificate.clone().into_owned()).is_ok() {
                outcome = self.by(Arc::new(roots)).map_or_else(unknown, judge);
            }
        }
        outcome
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.crypto.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.crypto.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto.signature_verification_algorithms.supported_schemes()
    }
}
