//! The built-in certificate authority and the server's certificate: a wildcard for every file system of the region.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::CofferError;

/// How long a server certificate is valid; a new one is made at half of it.
const SERVER_VALID: Duration = Duration::from_secs(90 * 24 * 3600);
/// When no certificate could be made, the next try is after this.
const NEXT_TRY_AFTER: Duration = Duration::from_secs(3600);
/// How long the authority itself is valid.
const AUTHORITY_VALID: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Clients' clocks may be this far behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);

/// The authority's parts, as the control records keep them.
pub(crate) struct Authority {
    /// PKCS #8, DER.
    pub(crate) key: Zeroizing<Vec<u8>>,
    /// The certificate as PEM, which clients get as their CA bundle.
    pub(crate) certificate_pem: String,
    common_name: String,
}

impl Authority {
    /// Makes a new authority, valid for twenty years.
    pub(crate) fn generate(common_name: &str, now: OffsetDateTime) -> Result<Self, CofferError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CofferError::stopped)?;
        let mut params = authority_params(common_name);
        params.not_before = now - CLOCK_SKEW;
        params.not_after = now + AUTHORITY_VALID;
        let certificate = params.self_signed(&key).map_err(CofferError::stopped)?;
        Ok(Self {
            key: Zeroizing::new(key.serialize_der()),
            certificate_pem: certificate.pem(),
            common_name: common_name.to_owned(),
        })
    }

    /// The authority as the control records kept it.
    pub(crate) fn restore(common_name: String, key: Zeroizing<Vec<u8>>, certificate_pem: String) -> Self {
        Self { key, certificate_pem, common_name }
    }

    /// The name it signs under.
    pub(crate) fn common_name(&self) -> &str {
        &self.common_name
    }

    /// A fresh server certificate for every mount-target name under `region` and `dns_suffix`.
    pub(crate) fn issue(
        &self,
        region: &str,
        dns_suffix: &str,
        now: OffsetDateTime,
    ) -> Result<CertifiedKey, CofferError> {
        let der = PrivatePkcs8KeyDer::from(self.key.as_slice());
        let authority_key = KeyPair::try_from(&der).map_err(CofferError::stopped)?;
        let issuer = Issuer::new(authority_params(&self.common_name), authority_key);
        let names = vec![format!("*.efs.{region}.{dns_suffix}"), format!("efs.{region}.{dns_suffix}")];
        let mut params = CertificateParams::new(names).map_err(CofferError::stopped)?;
        params.distinguished_name = named(&format!("*.efs.{region}.{dns_suffix}"));
        params.not_before = now - CLOCK_SKEW;
        params.not_after = now + SERVER_VALID;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CofferError::stopped)?;
        let certificate = params.signed_by(&key, &issuer).map_err(CofferError::stopped)?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).map_err(CofferError::stopped)?;
        Ok(CertifiedKey::new(vec![CertificateDer::from(certificate.der().to_vec())], signing))
    }
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    // X.520 allows 64 characters; the wildcard in the SAN is what clients check.
    name.push(DnType::CommonName, common_name.chars().take(64).collect::<String>());
    name
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

/// Gives every handshake the current certificate.
#[derive(Debug)]
pub(crate) struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl CurrentCertificate {
    pub(crate) fn new(first: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    /// Replaces the certificate for handshakes from now on.
    pub(crate) fn replace(&self, next: CertifiedKey) {
        *self.0.write() = Arc::new(next);
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // One wildcard serves every name, and some clients send an address literal as SNI.
        Some(Arc::clone(&self.0.read()))
    }
}

/// Keeps the certificate young for as long as the server runs.
pub(crate) async fn renew(
    current: Arc<CurrentCertificate>,
    authority: Arc<Authority>,
    region: String,
    dns_suffix: String,
    env: env::Env,
) {
    let mut wait = SERVER_VALID / 2;
    loop {
        env.sleep(wait).await;
        wait = match authority.issue(&region, &dns_suffix, now(&env)) {
            Ok(next) => {
                current.replace(next);
                SERVER_VALID / 2
            }
            Err(error) => {
                tracing::error!(%error, "no new server certificate; the old one stays, and it is tried again");
                NEXT_TRY_AFTER
            }
        };
    }
}

/// The wall clock in the type that certificates use.
pub(crate) fn now(env: &env::Env) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(env.wall().seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;

    fn verify(name: &str) -> Result<(), rustls::Error> {
        let start = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let authority = Authority::generate("Coffer test", start).unwrap();
        // The key goes to the control records and comes back before it signs.
        let authority = Authority::restore("Coffer test".to_owned(), authority.key, authority.certificate_pem);
        let leaf = authority.issue("eu-west-9", "coffer.internal", start).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let when = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
        verifier
            .verify_server_cert(&leaf.cert[0], &[], &ServerName::try_from(name.to_owned()).unwrap(), &[], when)
            .map(|_| ())
    }

    /// efs-utils: the host name checked is the one from the `fs-` label on.
    #[test]
    fn the_wildcard_covers_a_file_systems_name() {
        verify("fs-0123456789abcdef0.efs.eu-west-9.coffer.internal").unwrap();
    }

    /// RFC 6125 §6.4.3: a wildcard covers one label of its own parent only.
    #[test]
    fn another_regions_name_is_not_covered() {
        assert!(verify("fs-0123456789abcdef0.efs.us-east-1.coffer.internal").is_err());
    }
}
