//! The API over TLS.

use std::sync::Arc;
use std::time::Duration;

use api_server::Limits;
use policy::{Authorize, Decision, Request};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::house::{Call, House, Reply};

/// Allows only what comes over TLS.
struct OnlySecure;

impl Authorize for OnlySecure {
    fn decide(&self, request: &Request<'_>) -> Decision {
        if request.conditions.values("aws:SecureTransport") == ["true"] {
            Decision::Allow
        } else {
            Decision::Deny("in the clear".to_owned())
        }
    }
}

/// IAM, `aws:SecureTransport`: a call knows whether it came over TLS; a peer without a handshake is cut off.
#[tokio::test]
async fn calls_over_tls_are_secure() {
    let limits = Limits { head_time: Duration::from_millis(500), ..Limits::default() };
    let house = House::with(limits, Arc::new(OnlySecure)).await;
    let call = || Call {
        service: "elasticfilesystem",
        method: "GET",
        path: "/2015-02-01/file-systems",
        query: "",
        headers: Vec::new(),
        body: String::new(),
    };
    assert_eq!(house.call(&call()).await.json()["ErrorCode"], "AccessDeniedException");

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = house.server.clone();
    tokio::spawn(async move { serving.serve_tls(listener, TlsAcceptor::from(Arc::new(server))).await });

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client =
        TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = client.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    stream.write_all(&house.signed(&call())).await.unwrap();
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer).await;
    assert_eq!(Reply::parse(&answer).status, 200, "{}", String::from_utf8_lossy(&answer));

    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut nothing = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut nothing)).await;
    assert!(closed.is_ok(), "a peer without a handshake is cut off");
}
