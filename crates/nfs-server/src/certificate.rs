//! The client certificate of efs-utils: an authorization message in a self-signed certificate. It is read leniently
//! (serial 0, no key usage, no names), bounded in size, and only after its self-signature was checked.

use aws_lc_rs::digest;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use x509_parser::asn1_rs::{Any, FromDer as _, Tag};
use x509_parser::certificate::X509Certificate;

/// The largest certificate that is read; efs-utils makes about 1.2 KiB, a session token adds up to 4 KiB.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// The largest text of an extension, a session token.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// The largest id of a file system or an access point.
const ID_BYTES_MAX: usize = 128;

/// Id of the access point extension, 1.3.6.1.4.1.4843.7.1, and its siblings, which differ in the last arc only.
const EXTENSION_ARC: &str = "1.3.6.1.4.1.4843.7.";

/// The signed identity of extension 7.2: a SigV4 query signature over the public key's hash.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIdentity {
    /// The access key's id.
    pub access_key_id: String,
    /// The signature, 64 hex digits.
    pub signature: String,
    /// The time of signing, seconds since 1970.
    pub signed_at: i64,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for SignedIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIdentity").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// What a client certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Extension 7.3: the file system wanted.
    pub file_system: Option<String>,
    /// Extension 7.1: the access point wanted.
    pub access_point: Option<String>,
    /// Extension 7.2: who signs.
    pub identity: Option<SignedIdentity>,
    /// Extension 7.4: source and version of the client.
    pub client_info: Option<(String, String)>,
    /// SHA-1 of the public key's bits, computed here, not read from the certificate.
    pub key_sha1: [u8; 20],
    /// Start of validity, seconds since 1970.
    pub not_before: i64,
    /// End of validity, seconds since 1970.
    pub not_after: i64,
}

/// Why a client certificate is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// Over [`CERTIFICATE_BYTES_MAX`].
    #[error("the client certificate is too large")]
    TooLarge,
    /// Not an X.509 certificate.
    #[error("the client certificate cannot be read")]
    Malformed,
    /// An extension of ours is not as efs-utils writes it.
    #[error("extension {0} of the client certificate cannot be read")]
    Extension(u8),
    /// Not signed by its own key.
    #[error("the client certificate is not signed by its own key")]
    Signature,
}

/// The public key of a certificate with the identifier of its algorithm.
pub(crate) struct PublicKey<'a> {
    algorithm: &'a [u8],
    bits: &'a [u8],
}

impl PublicKey<'_> {
    /// Whether the signature verifies with an algorithm for keys of this kind.
    pub(crate) fn verifies(&self, by: &dyn SignatureVerificationAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        by.public_key_alg_id().as_ref() == self.algorithm && by.verify_signature(self.bits, message, signature).is_ok()
    }
}

/// The certificate as X.509, without trailing bytes.
fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, BadCertificate> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(BadCertificate::TooLarge);
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(BadCertificate::Malformed),
    }
}

/// The content of a DER value: what follows its tag and length.
fn content(der: &[u8]) -> Option<&[u8]> {
    match *der.get(1)? {
        short if short < 0x80 => der.get(2..),
        0x81 => der.get(3..),
        0x82 => der.get(4..),
        _ => None,
    }
}

/// Calls `f` with the certificate's public key.
pub(crate) fn with_public_key<T>(
    der: &CertificateDer<'_>,
    f: impl FnOnce(PublicKey<'_>) -> T,
) -> Result<T, BadCertificate> {
    let certificate = parse(der)?;
    let spki = certificate.public_key();
    // The identifier of rustls is the content of the AlgorithmIdentifier sequence.
    let algorithm = any(spki.raw).and_then(|spki| any(spki.data)).map(|algorithm| algorithm.data);
    let algorithm = algorithm.ok_or(BadCertificate::Malformed)?;
    Ok(f(PublicKey { algorithm, bits: &spki.subject_public_key.data }))
}

/// Checks that the certificate is signed by its own key.
pub(crate) fn check_self_signature(
    der: &CertificateDer<'_>,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Result<(), BadCertificate> {
    let certificate = parse(der)?;
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }
    let outer = content(der).ok_or(BadCertificate::Malformed)?;
    let (rest, _) = Any::from_der(outer).map_err(|_| BadCertificate::Malformed)?;
    let tbs = outer.get(..outer.len() - rest.len()).ok_or(BadCertificate::Malformed)?;
    let identifier = any(rest).ok_or(BadCertificate::Malformed)?.data;
    let verified = with_public_key(der, |key| {
        algorithms
            .iter()
            .filter(|algorithm| algorithm.signature_alg_id().as_ref() == identifier)
            .any(|algorithm| key.verifies(*algorithm, tbs, &certificate.signature_value.data))
    })?;
    if verified { Ok(()) } else { Err(BadCertificate::Signature) }
}

/// The first DER value of the bytes.
fn any(der: &[u8]) -> Option<Any<'_>> {
    Any::from_der(der).ok().map(|(_, any)| any)
}

impl ClientCertificate {
    /// Reads what the certificate says. The self-signature is checked elsewhere (it belongs to the handshake).
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, BadCertificate> {
        let certificate = parse(der)?;
        let key = &certificate.public_key().subject_public_key.data;
        let mut key_sha1 = [0; 20];
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key);
        key_sha1.copy_from_slice(digest.as_ref());
        let mut read = Self {
            file_system: None,
            access_point: None,
            identity: None,
            client_info: None,
            key_sha1,
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        };
        for extension in certificate.extensions() {
            let oid = extension.oid.to_id_string();
            let Some(arc) = oid.strip_prefix(EXTENSION_ARC) else { continue };
            match arc {
                "1" => read.access_point = Some(id(extension.value).ok_or(BadCertificate::Extension(1))?),
                "2" => read.identity = Some(identity(extension.value).ok_or(BadCertificate::Extension(2))?),
                "3" => read.file_system = Some(id(extension.value).ok_or(BadCertificate::Extension(3))?),
                "4" => read.client_info = Some(client_info(extension.value).ok_or(BadCertificate::Extension(4))?),
                _ => {}
            }
        }
        Ok(read)
    }
}

fn text(any: &Any<'_>) -> Option<String> {
    let is_text = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String].contains(&any.tag());
    if !is_text || any.data.len() > TEXT_BYTES_MAX {
        return None;
    }
    std::str::from_utf8(any.data).ok().map(str::to_owned)
}

fn id(der: &[u8]) -> Option<String> {
    text(&any(der)?).filter(|id| id.len() <= ID_BYTES_MAX)
}

/// SEQUENCE { UTF8String accessKeyId; OCTET STRING signature in hex; UTCTime; `[0]` EXPLICIT UTF8String OPTIONAL }
fn identity(der: &[u8]) -> Option<SignedIdentity> {
    let (_, sequence) = Any::from_der(der).ok().filter(|(_, any)| any.tag() == Tag::Sequence)?;
    let (rest, access_key_id) = Any::from_der(sequence.data).ok()?;
    let (rest, signature) = Any::from_der(rest).ok().filter(|(_, any)| any.tag() == Tag::OctetString)?;
    let (rest, signed_at) = Any::from_der(rest).ok().filter(|(_, any)| any.tag() == Tag::UtcTime)?;
    let session_token = match rest {
        [] => None,
        _ => {
            let (_, explicit) = Any::from_der(rest).ok().filter(|(_, any)| any.tag() == Tag(0))?;
            Some(text(&any(explicit.data)?)?)
        }
    };
    if signature.data.len() != 64 || !signature.data.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    Some(SignedIdentity {
        access_key_id: text(&access_key_id).filter(|id| id.len() <= ID_BYTES_MAX)?,
        signature: String::from_utf8(signature.data.to_ascii_lowercase()).ok()?,
        signed_at: signed_at.utctime().ok()?.utc_adjusted_datetime().ok()?.unix_timestamp(),
        session_token,
    })
}

/// SEQUENCE { UTF8String source; UTF8String version }
fn client_info(der: &[u8]) -> Option<(String, String)> {
    let (_, sequence) = Any::from_der(der).ok().filter(|(_, any)| any.tag() == Tag::Sequence)?;
    let (rest, source) = Any::from_der(sequence.data).ok()?;
    Some((text(&source)?, text(&any(rest)?)?))
}

#[cfg(test)]
mod tests;
