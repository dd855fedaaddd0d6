//! One connection's TLS, driven over buffers: rustls decides, [`crate::transport`] does the I/O. TLS 1.2 and 1.3 with
//! ECDHE and AES-GCM or ChaCha20. Sessions are not resumed, so each connection proves its certificate anew.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConnectionData, UnbufferedServerConnection,
};
use rustls::sign::CertifiedKey;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
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
        Ok(TlsSession { session, name, incoming: Window::default(), closed: false, failed: false })
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

/// One TLS connection. It owns its incoming bytes: rustls keeps offsets into them between calls, so no call may be made
/// with any other buffer.
pub(crate) struct TlsSession {
    session: UnbufferedServerConnection,
    name: Arc<Named>,
    incoming: Window,
    closed: bool,
    /// After an error the session is not touched again: rustls would raise its alert twice.
    failed: bool,
}

/// What one step of the session asks for.
enum Step {
    Again,
    Over(Progress),
}

impl TlsSession {
    /// Where bytes from the socket go, before [`TlsSession::receive`].
    pub(crate) fn incoming(&mut self) -> &mut Window {
        &mut self.incoming
    }

    /// Takes whole records of the incoming bytes, gives their plaintext to `plaintext` and appends to `outgoing` what the
    /// protocol itself wants to send. On an error `outgoing` holds the alert to send before closing.
    pub(crate) fn receive(
        &mut self,
        outgoing: &mut Window,
        mut plaintext: impl FnMut(&[u8]),
    ) -> Result<Progress, TlsError> {
        loop {
            if self.failed {
                return Err(TlsError::Unexpected);
            }
            match self.step(outgoing, &mut plaintext) {
                Ok(Step::Again) => {}
                Ok(Step::Over(progress)) => return Ok(progress),
                Err(error) => {
                    // What is queued after a failure is the alert; it comes before anything is read again.
                    let _ = self.step(outgoing, &mut |_| {});
                    self.failed = true;
                    return Err(error);
                }
            }
        }
    }

    fn step(&mut self, outgoing: &mut Window, plaintext: &mut dyn FnMut(&[u8])) -> Result<Step, TlsError> {
        let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(self.incoming.held_mut());
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                let mut step = Ok(Step::Again);
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            plaintext(record.payload);
                        }
                        Err(error) => step = Err(error.into()),
                    }
                }
                step
            }
            Ok(ConnectionState::EncodeTlsData(mut encode)) => {
                append(outgoing, |out| encode.encode(out).map_err(needed)).map(|()| Step::Again)
            }
            Ok(ConnectionState::TransmitTlsData(transmit)) => {
                transmit.done();
                Ok(Step::Again)
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Step::Over(Progress::Hungry)),
            Ok(ConnectionState::WriteTraffic(_)) if self.closed => Ok(Step::Over(Progress::Closed)),
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Step::Over(Progress::Established)),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                self.closed = true;
                Ok(Step::Over(Progress::Closed))
            }
            Ok(_) => Err(TlsError::Unexpected),
            Err(error) => Err(error.into()),
        };
        self.incoming.consume(discard);
        step
    }

    /// Calls `write` when the session may send: after the handshake, and after all that came in was taken.
    fn write<T>(
        &mut self,
        outgoing: &mut Window,
        write: impl FnOnce(WriteTraffic<'_, ServerConnectionData>, &mut Window) -> Result<T, TlsError>,
    ) -> Result<T, TlsError> {
        for _ in 0..8 {
            if self.failed {
                break;
            }
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(self.incoming.held_mut());
            self.failed = state.is_err();
            match state? {
                ConnectionState::WriteTraffic(traffic) => {
                    let written = write(traffic, outgoing);
                    self.incoming.consume(discard);
                    return written;
                }
                ConnectionState::EncodeTlsData(mut encode) => {
                    append(outgoing, |out| encode.encode(out).map_err(needed))?;
                }
                ConnectionState::TransmitTlsData(transmit) => transmit.done(),
                ConnectionState::PeerClosed => self.closed = true,
                _ => return Err(TlsError::Unexpected),
            }
            self.incoming.consume(discard);
        }
        Err(TlsError::Unexpected)
    }

    /// Seals up to [`SEAL_BYTES_MAX`] bytes to the end of `outgoing`. Only after the handshake.
    pub(crate) fn seal(&mut self, plaintext: &[u8], outgoing: &mut Window) -> Result<(), TlsError> {
        self.write(outgoing, |mut traffic, outgoing| {
            match traffic.encrypt(plaintext, outgoing.room(SEALED_BYTES_MAX)) {
                Ok(sealed) => {
                    outgoing.commit(sealed);
                    Ok(())
                }
                Err(EncryptError::EncryptExhausted) => Err(TlsError::Exhausted),
                Err(EncryptError::InsufficientSize(_)) => Err(TlsError::Unexpected),
            }
        })
    }

    /// Says that nothing more will be sent.
    pub(crate) fn close(&mut self, outgoing: &mut Window) {
        // A session that cannot say it any more just ends.
        let _ = self.write(outgoing, |mut traffic, outgoing| {
            if let Ok(length) = traffic.queue_close_notify(outgoing.room(256)) {
                outgoing.commit(length);
            }
            Ok(())
        });
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
