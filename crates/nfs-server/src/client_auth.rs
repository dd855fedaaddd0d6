//! The client's certificate in the handshake: asked for, never demanded, and trusted for exactly two things, that it is
//! signed by its own key and that the client holds that key. What it claims is judged after the handshake, so that a
//! refusal is an NFS error with a reason and not a TLS alert. Architecture section 2.2.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme};

use crate::certificate::{BadCertificate, check_self_signature, with_public_key};

/// Accepts any certificate that is signed by its own key.
#[derive(Debug)]
pub(crate) struct SelfSigned {
    algorithms: WebPkiSupportedAlgorithms,
}

impl SelfSigned {
    pub(crate) fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { algorithms }
    }

    /// Verifies the handshake's signature by the certificate's key: the proof of possession.
    fn possession(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let offered = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
        let (_, algorithms) =
            offered.ok_or(Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme))?;
        let verified = with_public_key(certificate, |key| {
            algorithms.iter().any(|algorithm| key.verifies(*algorithm, message, signed.signature()))
        });
        match verified {
            Ok(true) => Ok(HandshakeSignatureValid::assertion()),
            Ok(false) => Err(CertificateError::BadSignature.into()),
            Err(bad) => Err(tls_error(bad)),
        }
    }
}

fn tls_error(bad: BadCertificate) -> Error {
    match bad {
        BadCertificate::Signature => CertificateError::BadSignature.into(),
        BadCertificate::TooLarge | BadCertificate::Malformed | BadCertificate::Extension(_) => {
            CertificateError::BadEncoding.into()
        }
    }
}

impl ClientCertVerifier for SelfSigned {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check_self_signature(end_entity, self.algorithms.all).map_err(tls_error)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.possession(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // TLS 1.3 forbids PKCS #1 v1.5 in the handshake (RFC 8446 section 4.2.3).
        let legacy =
            [SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PKCS1_SHA384, SignatureScheme::RSA_PKCS1_SHA512];
        if legacy.contains(&dss.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        self.possession(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
