//! TLS towards the mount target: who the server must be, and who we say we are (Architecture section 2.2 and 7).

use std::{path::Path, sync::Arc};

use env::{Env, Instant};
use parking_lot::Mutex;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    sign::CertifiedKey,
};
use std::time::Duration;

use crate::certificate::{Claims, ClientKey};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA bundle does not read.
    #[error("CA file {path}: {why}")]
    CaFile {
        /// The bundle.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The client certificate cannot be made.
    #[error("client certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS refuses the settings.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// What is checked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check<'a> {
    /// Its chain to this bundle, and its name.
    ChainAndName(&'a Path),
    /// Its chain alone: `stunnel_check_cert_hostname = false`.
    Chain(&'a Path),
    /// Only that it has the key of the certificate it shows: `verify=0`.
    Nothing,
}

/// The configuration of every connection to the server.
///
/// # Errors
/// A CA bundle that does not read, or one without certificates.
pub fn client_config(check: Check<'_>, identity: Arc<Identity>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match check {
        Check::ChainAndName(bundle) => chain_verifier(bundle, &provider)?,
        Check::Chain(bundle) => {
            Arc::new(Lenient { chain: Some(chain_verifier(bundle, &provider)?), provider: provider.clone() })
        }
        Check::Nothing => Arc::new(Lenient { chain: None, provider: provider.clone() }),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(identity);
    // Every connection shows the current certificate; a resumed one would show the first.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn chain_verifier(bundle: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let bad = |why: String| TlsError::CaFile { path: bundle.display().to_string(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(bundle).map_err(|error| bad(error.to_string()))? {
        // A bundle may hold certificates that are no usable roots; one that is suffices.
        drop(roots.add(certificate.map_err(|error| bad(error.to_string()))?));
    }
    if roots.is_empty() {
        return Err(bad("no usable CA certificate".to_owned()));
    }
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    builder.build().map_err(|error| bad(error.to_string()))
}

/// Checks less than usual, as the user asked.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last, so the chain has passed.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The client certificate in use; it is made anew when a connection finds it too old.
pub struct Identity {
    key: ClientKey,
    claims: Claims,
    renewal: Duration,
    env: Env,
    current: Mutex<Current>,
}

struct Current {
    certified: Arc<CertifiedKey>,
    made: Instant,
}

impl Identity {
    /// A certificate over `key`, renewed when older than `renewal`.
    ///
    /// # Errors
    /// The cryptographic library's.
    pub fn new(key: ClientKey, claims: Claims, renewal: Duration, env: Env) -> Result<Self, TlsError> {
        let current = Mutex::new(certify(&key, &claims, &env)?);
        Ok(Self { key, claims, renewal, env, current })
    }

    /// Makes the next certificate now.
    ///
    /// # Errors
    /// The cryptographic library's; the old certificate stays.
    pub fn renew(&self) -> Result<(), TlsError> {
        let next = certify(&self.key, &self.claims, &self.env)?;
        *self.current.lock() = next;
        Ok(())
    }

    /// The certificate in use.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.current.lock().certified.cert.first().cloned()
    }
}

fn certify(key: &ClientKey, claims: &Claims, env: &Env) -> Result<Current, TlsError> {
    let made = key.certify(claims, env.wall())?;
    let signer = aws_lc_rs::sign::any_supported_type(&made.key)?;
    let certified = Arc::new(CertifiedKey::new(vec![made.certificate], signer));
    Ok(Current { certified, made: env.now() })
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").field("claims", &self.claims).finish_non_exhaustive()
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let made = self.current.lock().made;
        if self.env.now().since(made) >= self.renewal {
            // Should this fail, the old certificate is still good for two hours and more.
            drop(self.renew());
        }
        Some(self.current.lock().certified.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::KeyKind;

    /// aws/efs-utils, `tls_cert_renewal_interval_min`: older than that means a new one, for new connections only.
    #[test]
    fn an_old_certificate_is_replaced_at_the_next_connection() {
        let (env, simulation) = Env::simulated(3);
        let claims = Claims {
            common_name: "h".into(),
            file_system: "fs-1".into(),
            access_point: None,
            source: "s".into(),
            version: "1".into(),
        };
        let key = ClientKey::generate(KeyKind::Ecdsa).unwrap();
        let identity = Identity::new(key, claims, Duration::from_secs(3600), env).unwrap();
        let first = identity.resolve(&[], &[]).unwrap();
        assert!(Arc::ptr_eq(&first, &identity.resolve(&[], &[]).unwrap()));
        simulation.advance(Duration::from_secs(3600));
        let second = identity.resolve(&[], &[]).unwrap();
        assert_ne!(first.cert, second.cert);
    }

    /// aws/efs-utils, `stunnel_cafile`: a bundle that is missing or empty is named.
    #[test]
    fn unusable_bundles_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = directory.path().join("ca.pem");
        std::fs::write(&bundle, "no certificate here").unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let error = chain_verifier(&bundle, &provider).unwrap_err().to_string();
        assert!(error.contains("ca.pem: no usable CA certificate"), "{error}");
    }
}
