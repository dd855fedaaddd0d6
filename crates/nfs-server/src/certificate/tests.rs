//! What efs-utils writes is read; anything else is refused without a panic.

use super::{BadCertificate, CERTIFICATE_BYTES_MAX, ClientCertificate, check_self_signature};
use crate::testing::{client_certificate, der};
use rustls::pki_types::CertificateDer;

fn utf8(text: &str) -> Vec<u8> {
    der(0x0c, text.as_bytes())
}

fn signed(signature: &[u8], token: Option<&str>) -> Vec<u8> {
    let mut content = [utf8("AKIAIOSFODNN7EXAMPLE"), der(0x04, signature), der(0x17, b"261123091500Z")].concat();
    if let Some(token) = token {
        content.extend(der(0xa0, &utf8(token)));
    }
    der(0x30, &content)
}

fn algorithms() -> &'static [&'static dyn rustls::pki_types::SignatureVerificationAlgorithm] {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all
}

/// aws/efs-utils 3.2.0, the extensions of its certificates, 1.3.6.1.4.1.4843.7.1 to .4.
#[test]
fn all_four_extensions_are_read() {
    let (certificate, _) = client_certificate(&[
        (1, utf8("fsap-0123456789abcdef0")),
        (2, signed(&[b'A'; 64], Some("token"))),
        (3, utf8("fs-0123456789abcdef0")),
        (4, der(0x30, &[utf8("linux"), utf8("3.2.0")].concat())),
    ]);
    check_self_signature(&certificate, algorithms()).unwrap();
    let read = ClientCertificate::read(&certificate).unwrap();
    assert_eq!(read.access_point.as_deref(), Some("fsap-0123456789abcdef0"));
    assert_eq!(read.file_system.as_deref(), Some("fs-0123456789abcdef0"));
    assert_eq!(read.client_info, Some(("linux".into(), "3.2.0".into())));
    let identity = read.identity.unwrap();
    assert_eq!(identity.access_key_id, "AKIAIOSFODNN7EXAMPLE");
    assert_eq!(identity.signature, "a".repeat(64));
    assert_eq!(identity.signed_at, 1_795_425_300);
    assert_eq!(identity.session_token.as_deref(), Some("token"));
    assert!(read.not_before < read.not_after);
}

/// Architecture section 2.2: a certificate without our extensions is a client without claims.
#[test]
fn a_plain_certificate_claims_nothing() {
    let (certificate, _) = client_certificate(&[]);
    let read = ClientCertificate::read(&certificate).unwrap();
    assert_eq!((read.file_system, read.access_point, read.identity), (None, None, None));
}

/// Architecture section 2.4: a claim that cannot be read is never taken for no claim.
#[test]
fn a_malformed_extension_is_an_error_that_names_it() {
    let cases = [
        (1, vec![]),
        (1, utf8(&"x".repeat(200))),
        (2, signed(&[b'g'; 64], None)),
        (2, signed(&[b'a'; 32], None)),
        (2, der(0x30, &[])),
        (3, der(0x04, b"fs-1")),
        (3, vec![0x0c, 0x7f, 0x00]),
        (4, utf8("linux")),
    ];
    for (arc, content) in cases {
        let (certificate, _) = client_certificate(&[(arc, content)]);
        let refused = ClientCertificate::read(&certificate);
        assert_eq!(refused, Err(BadCertificate::Extension(u8::try_from(arc).unwrap())));
    }
}

/// Architecture section 2.2: trust comes from the self-signature, so one changed bit ends it.
#[test]
fn a_changed_certificate_is_not_self_signed() {
    let (certificate, _) = client_certificate(&[(3, utf8("fs-0123456789abcdef0"))]);
    let mut bytes = certificate.to_vec();
    let at = bytes.windows(3).position(|window| window == b"fs-").unwrap();
    bytes[at + 5] ^= 1;
    let refused = check_self_signature(&CertificateDer::from(bytes), algorithms());
    assert_eq!(refused, Err(BadCertificate::Signature));
}

/// Architecture section 1, "Bounds": size is checked first, and no cut of a certificate can do harm.
#[test]
fn size_and_truncation_are_refused() {
    let large = CertificateDer::from(vec![0x30; CERTIFICATE_BYTES_MAX + 1]);
    assert_eq!(ClientCertificate::read(&large), Err(BadCertificate::TooLarge));
    let (certificate, _) = client_certificate(&[(2, signed(&[b'a'; 64], None))]);
    for length in 0..certificate.len() {
        let cut = CertificateDer::from(certificate[..length].to_vec());
        assert_eq!(ClientCertificate::read(&cut), Err(BadCertificate::Malformed));
        assert!(check_self_signature(&cut, algorithms()).is_err());
    }
}
