//! One connection's TLS, driven over buffers: rustls decides, [`crate::transport`] does the I/O. TLS 1.2 and 1.3 with
//! ECDHE and AES-GCM or ChaCha20. Sessions are not resumed, so each connection proves its certificate anew.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, UnbufferedServerConnection};
use rustls::sign::CertifiedKey;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CipherSuite, ServerConfig};

use crate::buffers::Window;
use crate::client_auth::SelfSigned;

/// The longest run of plaintext that one call seals; a record takes at most 16 KiB of it.
pub(crate) const SEAL_BYTES_MAX: usize = 64 * 1024;
/// Room for [`SEAL_BYTES_MAX`] sealed, with anything the session itself wants to say.
const SEALED_BYTES_MAX: usize = SEAL_BYTES_MAX + 8 * 1024;

/// The suites on offer: forward secrecy and an authenticated cipher.
const SUITES: [CipherSuite; 9] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The server's side of every handshake.
pub(crate) struct Tls {
    config: ServerConfig,
    certificates: Arc<dyn ResolvesServerCert>,
}

impl Tls {
    /// A server that shows the certificates given.
    pub(crate) fn new(certificates: Arc<dyn ResolvesServerCert>) -> Result<Self, rustls::Error> {
        let mut provider: CryptoProvider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| SUITES.contains(&suite.suite()));
        let verifier = SelfSigned::new(provider.signature_verification_algorithms);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(&certificates));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config, certificates })
    }

    /// The beginning of a connection.
    pub(crate) fn accept(&self) -> Result<TlsSession, TlsError> {
        let name = Arc::new(Named { inner: Arc::clone(&self.certificates), server_name: Mutex::new(None) });
        let mut config = self.config.clone();
        config.cert_resolver = Arc::clone(&name) as Arc<dyn ResolvesServerCert>;
        let session = UnbufferedServerConnection::new(Arc::new(config))?;
        Ok(TlsSession { session, name, closed: false })
    }
}

/// Remembers the host name that the client asked for: the unbuffered interface of rustls does not tell it otherwise.
#[derive(Debug)]
struct Named {
    inner: Arc<dyn ResolvesServerCert>,
    server_name: Mutex<Option<String>>,
}

impl ResolvesServerCert for Named {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        *self.server_name.lock() = hello.server_name().map(str::to_owned);
        self.inner.resolve(hello)
    }
}

/// Why a TLS connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("the connection's traffic keys are used up")]
    Exhausted,
    #[error("the session is in a state that this server never asks for")]
    Unexpected,
}

/// What one step over the incoming bytes led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All of the incoming bytes that make whole records are used; more are needed.
    Hungry,
    /// The handshake is over (said once more at each call after it).
    Established,
    /// The peer said that it sends no more.
    Closed,
}

/// One TLS connection.
pub(crate) struct TlsSession {
    session: UnbufferedServerConnection,
    name: Arc<Named>,
    closed: bool,
}

impl TlsSession {
    /// Takes whole records from the front of `incoming`, gives their plaintext to `plaintext` and appends to `outgoing`
    /// what the protocol itself wants to send. Returns how many bytes of `incoming` were used. On an error `outgoing`
    /// holds the alert to send before closing.
    pub(crate) fn receive(
        &mut self,
        incoming: &mut [u8],
        outgoing: &mut Window,
        mut plaintext: impl FnMut(&[u8]),
    ) -> (usize, Result<Progress, TlsError>) {
        let mut used = 0;
        loop {
            let rest = incoming.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(rest);
            let mut over = None;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                plaintext(record.payload);
                            }
                            Err(error) => over = Some(Err(error.into())),
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut encode)) => {
                    over = append(outgoing, |out| encode.encode(out).map_err(needed)).err().map(Err);
                }
                Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
                Ok(ConnectionState::BlockedHandshake) => over = Some(Ok(Progress::Hungry)),
                Ok(ConnectionState::WriteTraffic(_)) if self.closed => over = Some(Ok(Progress::Closed)),
                Ok(ConnectionState::WriteTraffic(_)) => over = Some(Ok(Progress::Established)),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.closed = true;
                    over = Some(Ok(Progress::Closed));
                }
                Ok(_) => over = Some(Err(TlsError::Unexpected)),
                Err(error) => {
                    self.alert(outgoing);
                    over = Some(Err(error.into()));
                }
            }
            used += discard;
            if let Some(over) = over {
                return (used, over);
            }
        }
    }

    /// After a failed handshake: the alert that says why.
    fn alert(&mut self, outgoing: &mut Window) {
        for _ in 0..4 {
            match self.session.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut encode)) => {
                    let _ = append(outgoing, |out| encode.encode(out).map_err(needed));
                }
                _ => return,
            }
        }
    }

    /// Seals up to [`SEAL_BYTES_MAX`] bytes to the end of `outgoing`. Only after the handshake.
    pub(crate) fn seal(&mut self, plaintext: &[u8], outgoing: &mut Window) -> Result<(), TlsError> {
        for _ in 0..8 {
            match self.session.process_tls_records(&mut []).state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return match traffic.encrypt(plaintext, outgoing.room(SEALED_BYTES_MAX)) {
                        Ok(sealed) => {
                            outgoing.commit(sealed);
                            Ok(())
                        }
                        Err(EncryptError::EncryptExhausted) => Err(TlsError::Exhausted),
                        Err(EncryptError::InsufficientSize(_)) => Err(TlsError::Unexpected),
                    };
                }
                ConnectionState::EncodeTlsData(mut encode) => {
                    append(outgoing, |out| encode.encode(out).map_err(needed))?;
                }
                ConnectionState::TransmitTlsData(transmit) => transmit.done(),
                ConnectionState::PeerClosed => self.closed = true,
                _ => return Err(TlsError::Unexpected),
            }
        }
        Err(TlsError::Unexpected)
    }

    /// Says that nothing more will be sent.
    pub(crate) fn close(&mut self, outgoing: &mut Window) {
        for _ in 0..4 {
            match self.session.process_tls_records(&mut []).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let mut notify = [0; 256];
                    if let Ok(length) = traffic.queue_close_notify(&mut notify) {
                        outgoing.extend(notify.get(..length).unwrap_or_default());
                    }
                    return;
                }
                Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
                Ok(ConnectionState::PeerClosed) => {}
                _ => return,
            }
        }
    }

    /// The host name that the client asked for, where it is one (an address is ignored, as RFC 6066 has it).
    pub(crate) fn server_name(&self) -> Option<String> {
        self.name.server_name.lock().clone()
    }

    /// The client's certificate, if it showed one.
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.session.peer_certificates().and_then(<[_]>::first)
    }
}

/// The size that an encoder asks for.
fn needed(error: EncodeError) -> Option<usize> {
    match error {
        EncodeError::InsufficientSize(error) => Some(error.required_size),
        EncodeError::AlreadyEncoded => None,
    }
}

/// Appends what `encode` writes, growing the buffer as far as it asks for.
fn append(
    outgoing: &mut Window,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), TlsError> {
    let mut room = 1024;
    loop {
        match encode(outgoing.room(room)) {
            Ok(written) => {
                outgoing.commit(written);
                return Ok(());
            }
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => return Err(TlsError::Unexpected),
        }
    }
}

#[cfg(test)]
mod tests;
