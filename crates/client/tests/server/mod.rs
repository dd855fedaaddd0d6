//! A TLS server for the tests: an authority of its own, an echo, and several ways to misbehave.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    pub fn bundle(&self) -> String {
        self.pem.clone()
    }
}

/// How the server treats a connection.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// Everything back, then an end in order.
    Echo,
    /// Takes everything and gives nothing, then an end in order.
    Sink,
    /// Is told a number of bytes (eight, big-endian), gives as many, then an end in order.
    Source,
    /// The same over TLS 1.2 only.
    EchoTls12,
    /// Echoes so many bytes, then cuts the connection.
    CutAfter(usize),
    /// Echoes so many bytes, then ends the transport without the end of TLS.
    TruncateAfter(usize),
}

/// What the server learnt of one client.
#[derive(Debug, Clone)]
pub struct Seen {
    pub name: Option<String>,
    pub certificate: Option<Vec<u8>>,
}

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    pub fn start(authority: &Authority, name: &str, manner: Manner) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), authority, name, manner)
    }

    pub fn start_at(address: SocketAddr, authority: &Authority, name: &str, manner: Manner) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(async { tokio::net::TcpListener::bind(address).await.unwrap() });
        let address = listener.local_addr().unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config(authority, name, manner)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        drop(runtime.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, noted) = (acceptor.clone(), noted.clone());
                drop(tokio::spawn(async move {
                    drop(socket.set_nodelay(true));
                    let Ok(stream) = acceptor.accept(socket).await else { return };
                    let (_, tls) = stream.get_ref();
                    let certificate = tls.peer_certificates().map(|chain| chain[0].to_vec());
                    noted.lock().unwrap().push(Seen { name: tls.server_name().map(str::to_owned), certificate });
                    drop(treat(stream, manner).await);
                }));
            }
        }));
        Self { address, seen, _runtime: runtime }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

type Stream = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

async fn treat(stream: Stream, manner: Manner) -> std::io::Result<()> {
    let (limit, orderly) = match manner {
        Manner::Echo | Manner::EchoTls12 | Manner::Sink | Manner::Source => (usize::MAX, true),
        Manner::CutAfter(limit) | Manner::TruncateAfter(limit) => (limit, false),
    };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut buffer = vec![0; 256 * 1024];
    let mut passed = 0;
    if matches!(manner, Manner::Source) {
        let mut left = usize::try_from(reader.read_u64().await?).unwrap();
        while left > 0 {
            let count = left.min(buffer.len());
            writer.write_all(&buffer[..count]).await?;
            left -= count;
        }
        return writer.shutdown().await;
    }
    while passed < limit {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return writer.shutdown().await;
        }
        if matches!(manner, Manner::Sink) {
            continue;
        }
        writer.write_all(&buffer[..count]).await?;
        writer.flush().await?;
        passed += count;
    }
    if !orderly {
        let (mut socket, _) = reader.unsplit(writer).into_inner();
        match manner {
            Manner::CutAfter(_) => socket.set_zero_linger()?,
            _ => {
                socket.shutdown().await?;
                drop(socket.read(&mut buffer).await);
            }
        }
    }
    Ok(())
}

fn config(authority: &Authority, name: &str, manner: Manner) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = parameters.signed_by(&key, &authority.issuer).unwrap().into();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions: &[&rustls::SupportedProtocolVersion] = match manner {
        Manner::EchoTls12 => &[&rustls::version::TLS12],
        _ => &[&rustls::version::TLS13],
    };
    ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody(provider)))
        .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap()
}

/// Asks for a client certificate and takes any.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
