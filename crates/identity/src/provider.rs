//! OpenID Connect providers. IAM User Guide, "Create an OpenID Connect (OIDC) identity provider in IAM".

use std::collections::BTreeSet;
use std::net::IpAddr;

use aws_lc_rs::digest;
use aws_wire::{Arn, Timestamp};
use serde::{Deserialize, Serialize};

use crate::IdentityError;
use crate::tags::Tags;

/// A registered provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Provider {
    /// The version of the record.
    pub(crate) version: u8,
    /// Whose it is.
    pub(crate) account: String,
    /// The issuer, as its tokens have it, scheme and all.
    pub(crate) url: String,
    /// The audiences that are accepted.
    pub(crate) client_ids: BTreeSet<String>,
    /// SHA-1 fingerprints of certificates that its server may stand on, in small hexadecimal letters.
    pub(crate) thumbprints: Vec<String>,
    /// When it was registered.
    pub(crate) created: Timestamp,
    /// Its tags.
    #[serde(default)]
    pub(crate) tags: Tags,
}

impl Provider {
    /// `arn:aws:iam::ACCOUNT:oidc-provider/HOST/path`.
    pub(crate) fn arn(&self) -> Arn {
        Arn::new("iam", "", &self.account, format!("oidc-provider/{}", self.place()))
    }

    /// The issuer without its scheme: what condition keys begin with.
    pub(crate) fn place(&self) -> &str {
        place(&self.url)
    }
}

/// An issuer without its scheme.
pub(crate) fn place(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, place)| place)
}

/// Judges an issuer's URL: HTTPS, or HTTP to this machine itself (where nobody is in between), and nothing behind the path.
pub(crate) fn check_url(url: &str) -> Result<(), IdentityError> {
    let refused = |text: &str| Err(IdentityError::InvalidInput(text.to_owned()));
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') || url.contains(['?', '#', ' ']) || !url.is_ascii() {
        return refused("Invalid Open ID Connect Provider URL");
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback(authority) => Ok(()),
        _ => refused("Invalid Open ID Connect Provider URL: it must begin with https://"),
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a provider's document may be fetched from there.
pub fn is_provider_url(url: &str) -> bool {
    check_url(url).is_ok()
}

/// The SHA-1 fingerprint of a certificate, as thumbprints are written. It finds a certificate that was registered, and
/// proves nothing by itself.
pub fn thumbprint(certificate: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Thumbprints as they are kept: forty hexadecimal digits each, five at most.
pub(crate) fn thumbprints(given: &[String]) -> Result<Vec<String>, IdentityError> {
    let sound = |text: &&String| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if given.len() > 5 {
        return Err(IdentityError::InvalidInput("Thumbprint list must contain fewer than 5 entries.".to_owned()));
    }
    if !given.iter().all(|text| sound(&text)) {
        return Err(IdentityError::InvalidInput("Thumbprints must be forty hexadecimal digits.".to_owned()));
    }
    Ok(given.iter().map(|text| text.to_ascii_lowercase()).collect())
}

#[cfg(test)]
mod tests {
    use super::{check_url, place, thumbprints};

    /// IAM API, CreateOpenIDConnectProvider, Url: HTTPS; in the clear only what does not leave the machine.
    #[test]
    fn issuers_are_reached_over_https() {
        for good in [
            "https://id.example",
            "https://id.example:8443/a/b",
            "http://127.0.0.1:9",
            "http://[::1]:9/a",
            "http://localhost",
        ] {
            check_url(good).unwrap();
        }
        for bad in [
            "id.example",
            "http://id.example",
            "https://",
            "https://a@b",
            "https://a?b",
            "ftp://a",
            "http://127.0.0.1.example",
            "",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        assert_eq!(place("https://id.example/a"), "id.example/a");
    }

    /// IAM API, CreateOpenIDConnectProvider, ThumbprintList.
    #[test]
    fn thumbprints_are_sha_1() {
        let one = "A".repeat(40);
        assert_eq!(thumbprints(std::slice::from_ref(&one)).unwrap(), ["a".repeat(40)]);
        assert!(thumbprints(&["g".repeat(40)]).is_err());
        assert!(thumbprints(&["a".repeat(39)]).is_err());
        assert!(thumbprints(&vec![one; 6]).is_err());
    }
}
