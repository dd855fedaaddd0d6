//! Handshakes against the rustls client, in memory.

use super::{Progress, Tls, TlsSession};
use crate::buffers::Window;
use crate::testing::{client_certificate, private, server_certificate};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use std::io::{Read as _, Write as _};
use std::sync::Arc;

const NAME: &str = "fs-0123456789abcdef0.efs.us-east-1.coffer.internal";

struct Pair {
    server: TlsSession,
    client: ClientConnection,
    outgoing: Window,
    received: Vec<u8>,
}

fn client(
    root: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    identity: Option<(CertificateDer<'static>, rcgen::KeyPair)>,
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], private(&key)).unwrap(),
    };
    ClientConnection::new(Arc::new(config), ServerName::try_from(NAME).unwrap()).unwrap()
}

impl Pair {
    fn new(
        version: &'static SupportedProtocolVersion,
        identity: Option<(CertificateDer<'static>, rcgen::KeyPair)>,
    ) -> Self {
        let (root, resolver) = server_certificate(NAME);
        Self {
            server: Tls::new(resolver).unwrap().accept().unwrap(),
            client: client(&root, version, identity),
            outgoing: Window::default(),
            received: Vec::new(),
        }
    }

    /// Moves bytes both ways until nothing moves.
    fn exchange(&mut self) -> Result<Progress, super::TlsError> {
        loop {
            let mut sent = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut sent).unwrap();
            }
            self.server.incoming().extend(&sent);
            let received = &mut self.received;
            let progress = self.server.receive(&mut self.outgoing, |bytes| received.extend(bytes))?;
            if sent.is_empty() && self.outgoing.is_empty() {
                return Ok(progress);
            }
            while !self.outgoing.is_empty() {
                let mut bytes = self.outgoing.held();
                let read = self.client.read_tls(&mut bytes).unwrap();
                self.outgoing.consume(read);
                self.client.process_new_packets().unwrap();
            }
        }
    }
}

/// Architecture section 2.2: TLS 1.2 and 1.3, data both ways, the host name known, no certificate demanded.
#[test]
fn both_versions_carry_data_both_ways() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut pair = Pair::new(version, None);
        assert_eq!(pair.exchange().unwrap(), Progress::Established);
        assert_eq!(pair.server.server_name().as_deref(), Some(NAME));
        assert!(pair.server.certificate().is_none());

        let data: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        for chunk in data.chunks(40_000) {
            pair.client.writer().write_all(chunk).unwrap();
            pair.exchange().unwrap();
        }
        assert_eq!(pair.received, data);

        let mut back = Vec::new();
        for chunk in data.chunks(16_000) {
            pair.server.seal(chunk, &mut pair.outgoing).unwrap();
            pair.exchange().unwrap();
            let mut piece = vec![0; chunk.len()];
            pair.client.reader().read_exact(&mut piece).unwrap();
            back.extend(piece);
        }
        assert_eq!(back, data);

        pair.client.send_close_notify();
        assert_eq!(pair.exchange().unwrap(), Progress::Closed);
        pair.server.close(&mut pair.outgoing);
        assert!(!pair.outgoing.is_empty());
    }
}

/// aws/efs-utils, client certificate: self-signed and with serial 0, it is accepted and shown to the server, in both
/// versions.
#[test]
fn a_self_signed_client_certificate_is_accepted() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (certificate, key) = client_certificate(&[]);
        let mut pair = Pair::new(version, Some((certificate.clone(), key)));
        assert_eq!(pair.exchange().unwrap(), Progress::Established);
        assert_eq!(pair.server.certificate(), Some(&certificate));
    }
}

/// Architecture section 2.2: who shows a certificate must hold its key.
#[test]
fn a_certificate_of_another_key_is_refused() {
    use rustls::client::ResolvesClientCert;
    use rustls::sign::CertifiedKey;

    #[derive(Debug)]
    struct Stolen(Arc<CertifiedKey>);
    impl ResolvesClientCert for Stolen {
        fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
        fn has_certs(&self) -> bool {
            true
        }
    }

    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (certificate, _) = client_certificate(&[]);
        let (_, other) = client_certificate(&[]);
        let mut pair = Pair::new(version, None);
        let (root, resolver) = server_certificate(NAME);
        pair.server = Tls::new(resolver).unwrap().accept().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = provider.key_provider.load_private_key(private(&other)).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(Stolen(Arc::new(CertifiedKey::new(vec![certificate], key)))));
        pair.client = ClientConnection::new(Arc::new(config), ServerName::try_from(NAME).unwrap()).unwrap();
        assert!(pair.exchange().is_err());
        assert!(!pair.outgoing.is_empty(), "an alert says why");
    }
}

/// RFC 6066 section 3 allows no address in SNI; stunnel, as aws/efs-utils runs it for a mount by address, sends one all
/// the same: the handshake goes on without a name.
#[test]
fn an_address_as_server_name_is_ignored() {
    let mut pair = Pair::new(&rustls::version::TLS12, None);
    let mut hello = Vec::new();
    pair.client.write_tls(&mut hello).unwrap();
    // The name in the hello becomes an address of the same length, as stunnel would have sent it.
    let at = hello.windows(NAME.len()).position(|window| window == NAME.as_bytes()).unwrap();
    let literal: Vec<u8> = b"127.77.0.9".to_vec();
    // host_name: type(1) length(2) inside list length(2) inside extension length(2); shorten all of them.
    let shorter = NAME.len() - literal.len();
    hello.splice(at..at + NAME.len(), literal);
    for (offset, width) in [(at - 2, 2), (at - 5, 2), (at - 7, 2)] {
        let value = usize::from(hello[offset]) << 8 | usize::from(hello[offset + 1]);
        let value = value - shorter;
        hello[offset] = (value >> 8) as u8;
        hello[offset + width - 1] = value as u8;
    }
    // Record length, handshake length, extensions length.
    let record = hello.len() - 5;
    hello[3] = (record >> 8) as u8;
    hello[4] = record as u8;
    let body = hello.len() - 9;
    hello[7] = (body >> 8) as u8;
    hello[8] = body as u8;
    let session = 43 + 1 + usize::from(hello[43]);
    let suites = session + 2 + (usize::from(hello[session]) << 8 | usize::from(hello[session + 1]));
    let extensions = suites + 1 + usize::from(hello[suites]);
    let length = hello.len() - extensions - 2;
    hello[extensions] = (length >> 8) as u8;
    hello[extensions + 1] = length as u8;

    pair.server.incoming().extend(&hello);
    let progress = pair.server.receive(&mut pair.outgoing, |_| {});
    assert_eq!(progress.unwrap(), Progress::Hungry);
    assert_eq!(pair.outgoing.held()[0], 22, "the server answers with its handshake, not with an alert");
    assert_eq!(pair.server.server_name(), None);
}

/// Architecture section 2.1: what is not TLS after the first byte ends with an alert and no panic.
#[test]
fn garbage_is_refused() {
    let (_, resolver) = server_certificate(NAME);
    let tls = Tls::new(resolver).unwrap();
    for garbage in [&[0x16, 3, 1, 0xff, 0xff][..], &[0x16; 64], &[0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]] {
        let mut session = tls.accept().unwrap();
        let mut outgoing = Window::default();
        session.incoming().extend(garbage);
        let progress = session.receive(&mut outgoing, |_| {});
        assert!(matches!(progress, Err(_) | Ok(Progress::Hungry)));
        session.close(&mut outgoing);
    }
}
