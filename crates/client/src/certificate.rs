//! The client certificate: who is mounting what, in the extensions of efs-utils (reference: aws/efs-utils, client certificate).
//!
//! Self-signed, valid from 15 minutes ago for three hours, made anew by the tunnel before it lapses. The key is made
//! with the process and never leaves its memory; a restarted tunnel makes another one. Trust does not come from the
//! key, so its kind is a matter of cost: ECDSA P-256 takes less than a millisecond where RSA-3072 takes a good part of
//! a second. Amazon's own servers have only been seen with RSA, so that is the choice under Amazon's names.

use std::time::Duration;

use aws_lc_rs::digest;
use env::WallTime;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, PublicKeyData as _, RsaKeySize};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{OffsetDateTime, macros::format_description};

const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
const ACCESS_POINT: &[u64] = &[1, 3, 6, 1, 4, 1, 4843, 7, 1];
const FILE_SYSTEM: &[u64] = &[1, 3, 6, 1, 4, 1, 4843, 7, 3];
const CLIENT_INFO: &[u64] = &[1, 3, 6, 1, 4, 1, 4843, 7, 4];
/// X.520 ub-common-name.
const COMMON_NAME_CHARACTERS_MAX: usize = 64;
/// Clocks differ; the certificate begins this much before now.
const SKEW: i64 = 15 * 60;
/// How long it is good for.
const VALIDITY: Duration = Duration::from_secs(3 * 3600);

const UTF8_STRING: u8 = 0x0c;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// Which key the certificate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA of 3072 bits, as efs-utils.
    Rsa,
}

impl KeyKind {
    /// Reads `client_key`; without it, the kind that the servers under `suffix` are known to take.
    #[must_use]
    pub fn choose(setting: Option<&str>, suffix: &str) -> Option<Self> {
        match setting {
            Some("ecdsa-p256") => Some(Self::Ecdsa),
            Some("rsa-3072") => Some(Self::Rsa),
            Some(_) => None,
            None if suffix.starts_with("amazonaws.") => Some(Self::Rsa),
            None => Some(Self::Ecdsa),
        }
    }

    /// The word in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa-p256",
            Self::Rsa => "rsa-3072",
        }
    }
}

/// What the certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The machine's name.
    pub common_name: String,
    /// The file system that is mounted.
    pub file_system: String,
    /// The access point, if any.
    pub access_point: Option<String>,
    /// `[client-info] source`.
    pub source: String,
    /// The client's version.
    pub version: String,
}

/// The key, for as long as the process lives.
pub struct ClientKey(KeyPair);

/// A certificate and what a TLS connection needs to use it.
pub struct ClientCertificate {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl ClientKey {
    /// A fresh key.
    ///
    /// # Errors
    /// The cryptographic library's.
    pub fn generate(kind: KeyKind) -> Result<Self, rcgen::Error> {
        match kind {
            KeyKind::Ecdsa => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyKind::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072),
        }
        .map(Self)
    }

    /// A certificate over this key, good from now on.
    ///
    /// # Errors
    /// The cryptographic library's.
    pub fn certify(&self, claims: &Claims, now: WallTime) -> Result<ClientCertificate, rcgen::Error> {
        let mut name = DistinguishedName::new();
        let common_name: String = claims.common_name.chars().take(COMMON_NAME_CHARACTERS_MAX).collect();
        name.push(DnType::CommonName, common_name);
        let at = |wall: WallTime| OffsetDateTime::from_unix_timestamp(wall.seconds).map_err(|_| rcgen::Error::Time);
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name;
        parameters.not_before = at(WallTime { seconds: now.seconds.saturating_sub(SKEW), nanoseconds: 0 })?;
        parameters.not_after = at(now + VALIDITY)?;
        parameters.custom_extensions = self.extensions(claims);
        let certificate = parameters.self_signed(&self.0)?;
        let key = PrivatePkcs8KeyDer::from(self.0.serialize_der());
        Ok(ClientCertificate { certificate: certificate.into(), key: key.into() })
    }

    fn extensions(&self, claims: &Claims) -> Vec<CustomExtension> {
        let utf8 = |text: &str| der(UTF8_STRING, text.as_bytes());
        // RFC 5280 section 4.2.1.2, method 1: SHA-1 of the public key's bits.
        let key_identifier = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.0.der_bytes());
        let info = der(SEQUENCE, &[utf8(&claims.source), utf8(&claims.version)].concat());
        let mut extensions = vec![
            (SUBJECT_KEY_IDENTIFIER, der(OCTET_STRING, key_identifier.as_ref())),
            (FILE_SYSTEM, utf8(&claims.file_system)),
            (CLIENT_INFO, info),
        ];
        if let Some(access_point) = &claims.access_point {
            extensions.push((ACCESS_POINT, utf8(access_point)));
        }
        extensions.into_iter().map(|(oid, content)| CustomExtension::from_oid_content(oid, content)).collect()
    }
}

/// One DER value: tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut value = vec![tag];
    match (significant.as_slice(), u8::try_from(significant.len())) {
        ([], _) => value.push(0),
        ([short], _) if *short < 0x80 => value.push(*short),
        (long, count) => {
            value.push(0x80 | count.unwrap_or(0));
            value.extend_from_slice(long);
        }
    }
    value.extend_from_slice(content);
    value
}

/// A time as the state files write it: `yymmddHHMMSSZ`.
#[must_use]
pub fn creation_stamp(wall: WallTime) -> String {
    let time = OffsetDateTime::from_unix_timestamp(wall.seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let form = format_description!("[year repr:last_two][month][day][hour][minute][second]Z");
    time.format(form).unwrap_or_default()
}

/// The name of this machine, for the certificate.
#[must_use]
pub fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    fn claims(access_point: Option<&str>) -> Claims {
        Claims {
            common_name: "h".repeat(70),
            file_system: "fs-0123456789abcdef0".into(),
            access_point: access_point.map(str::to_owned),
            source: "s".repeat(130),
            version: "0.1.0".into(),
        }
    }

    fn extension<'a>(certificate: &'a X509Certificate<'_>, oid: &str) -> Option<&'a [u8]> {
        certificate.extensions().iter().find(|extension| extension.oid.to_id_string() == oid).map(|found| found.value)
    }

    /// aws/efs-utils, client certificate: subject, validity and the three extensions, each DER inside the extension's octets.
    #[test]
    fn the_certificate_has_the_extensions_of_efs_utils() {
        let now = WallTime { seconds: 1_800_000_000, nanoseconds: 5 };
        let made = ClientKey::generate(KeyKind::Ecdsa).unwrap();
        let made = made.certify(&claims(Some("fsap-0123456789abcdef0")), now).unwrap();
        let (rest, parsed) = X509Certificate::from_der(&made.certificate).unwrap();
        assert!(rest.is_empty());
        assert_eq!(parsed.subject().to_string(), format!("CN={}", "h".repeat(64)));
        assert_eq!(parsed.subject(), parsed.issuer());
        assert_eq!(parsed.validity().not_before.timestamp(), now.seconds - 900);
        assert_eq!(parsed.validity().not_after.timestamp(), now.seconds + 10_800);
        assert_eq!(extension(&parsed, "1.3.6.1.4.1.4843.7.1"), Some(&b"\x0c\x16fsap-0123456789abcdef0"[..]));
        assert_eq!(extension(&parsed, "1.3.6.1.4.1.4843.7.3"), Some(&b"\x0c\x14fs-0123456789abcdef0"[..]));
        let info = extension(&parsed, "1.3.6.1.4.1.4843.7.4").unwrap();
        let expected = [b"\x30\x81\x8c\x0c\x81\x82".to_vec(), vec![b's'; 130], b"\x0c\x050.1.0".to_vec()].concat();
        assert_eq!(info, expected);
        assert_eq!(extension(&parsed, "1.3.6.1.4.1.4843.7.2"), None);
        let bits = &parsed.public_key().subject_public_key.data;
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bits);
        assert_eq!(extension(&parsed, "2.5.29.14").unwrap(), [b"\x04\x14", sha1.as_ref()].concat());
        assert_eq!(parsed.extensions().len(), 4);
    }

    /// aws/efs-utils, files: `certificateCreationTime` is `yymmddHHMMSSZ`.
    #[test]
    fn the_creation_time_is_written_as_efs_utils_does() {
        assert_eq!(creation_stamp(WallTime { seconds: 1_800_000_000, nanoseconds: 9 }), "270115080000Z");
    }

    /// aws/efs-utils, client certificate: no access point, no extension for one.
    #[test]
    fn without_an_access_point_there_is_no_such_extension() {
        let made = ClientKey::generate(KeyKind::Ecdsa).unwrap().certify(&claims(None), WallTime::default()).unwrap();
        let (_, parsed) = X509Certificate::from_der(&made.certificate).unwrap();
        assert_eq!(extension(&parsed, "1.3.6.1.4.1.4843.7.1"), None);
    }

    /// aws/efs-utils, client certificate: RSA-3072 with SHA-256 where servers ask for it.
    #[test]
    fn rsa_is_made_under_amazons_names() {
        assert_eq!(KeyKind::choose(None, "amazonaws.com.cn"), Some(KeyKind::Rsa));
        assert_eq!(KeyKind::choose(None, "coffer.internal"), Some(KeyKind::Ecdsa));
        assert_eq!(KeyKind::choose(Some("rsa-3072"), "coffer.internal"), Some(KeyKind::Rsa));
        assert_eq!(KeyKind::choose(Some("dsa"), "coffer.internal"), None);
        let made = ClientKey::generate(KeyKind::Rsa).unwrap().certify(&claims(None), WallTime::default()).unwrap();
        let (_, parsed) = X509Certificate::from_der(&made.certificate).unwrap();
        assert_eq!(parsed.public_key().parsed().unwrap().key_size(), 3072);
        assert_eq!(parsed.signature_algorithm.algorithm.to_id_string(), "1.2.840.113549.1.1.11");
    }
}
