//! What several tests need: record marks, and certificates as a server and efs-utils make them.

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, SerialNumber};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::sync::Arc;

/// DER of a value with a short or two-byte length.
pub(crate) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

/// A self-signed client certificate with the efs-utils extensions given: last arc of the id, and DER content.
pub(crate) fn client_certificate(extensions: &[(u64, Vec<u8>)]) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from(vec![0]));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "fs-0123456789abcdef0.efs.us-east-1.coffer.internal");
    params.custom_extensions = extensions
        .iter()
        .map(|(arc, content)| CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 4843, 7, *arc], content.clone()))
        .collect();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.der().clone(), key)
}

/// A server's certificate for `name`, with its resolver.
pub(crate) fn server_certificate(name: &str) -> (CertificateDer<'static>, Arc<dyn ResolvesServerCert>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let signing = provider.key_provider.load_private_key(private(&key)).unwrap();
    let certified = CertifiedKey::new(vec![certificate.der().clone()], signing);
    (certificate.der().clone(), Arc::new(SingleCertAndKey::from(certified)))
}

/// The private key as rustls takes it.
pub(crate) fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

/// The mark of a record in one fragment.
pub(crate) fn mark(length: usize) -> u32 {
    0x8000_0000 | u32::try_from(length).unwrap()
}
