//! AWS Signature Version 4, both ways. AWS General Reference, "Create a signed AWS API request".
//!
//! A verifier for the header form and the presigned URL form, and a signer for our own client side and tests.

mod canonical;
mod sign;
mod verify;

use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

use crate::shape::Protocol;
use crate::{ApiError, Timestamp};

pub use canonical::{pairs, percent_decode, percent_encode};
pub use sign::Signer;
pub use verify::{Verified, Verifier};

/// The only algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What ends every credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";

/// A request as it stood on the wire.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// What follows the question mark, still percent-encoded.
    pub query: &'a str,
    /// Header names in lower case, with their values, in the order of the wire.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body.
    pub body: &'a [u8],
}

/// The secret behind an access key.
#[derive(Clone)]
pub struct Credential {
    /// The secret access key.
    pub secret: Zeroizing<String>,
    /// For temporary credentials: the token that must come with them, and when they end.
    pub session: Option<Session>,
}

/// What temporary credentials add.
#[derive(Clone)]
pub struct Session {
    /// The session token.
    pub token: Zeroizing<String>,
    /// When it ends.
    pub expires: Timestamp,
}

/// Where the verifier finds secrets.
pub trait Secrets {
    /// The secret of an access key; `None` when there is no such key or it is not active.
    fn credential(&self, access_key_id: &str) -> Option<Credential>;

    /// The secret of a temporary access key that came with this session token, for keys that are stored nowhere but in
    /// their token; `None` when the token is none of those.
    fn temporary(&self, _access_key_id: &str, _token: &str) -> Option<Credential> {
        None
    }
}

/// Why a signature is not accepted. Sentences that AWS has are AWS's; none repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nothing signed at all.
    #[error("Missing Authentication Token")]
    Missing,
    /// Parts are missing or malformed.
    #[error("{0}")]
    Incomplete(String),
    /// No such access key, or a session token that does not belong to it.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The session has ended.
    #[error("The security token included in the request is expired")]
    TokenExpired,
    /// Scope or dates do not fit.
    #[error("{0}")]
    Scope(String),
    /// Everything is there and the signature is another.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

impl SignatureError {
    /// The error as the service's protocol names it.
    pub fn api_error(&self, protocol: Protocol) -> ApiError {
        let (json, query, status) = match self {
            Self::Missing => ("MissingAuthenticationTokenException", "MissingAuthenticationToken", 403),
            Self::Incomplete(_) => ("IncompleteSignatureException", "IncompleteSignature", 400),
            Self::UnknownKey => ("UnrecognizedClientException", "InvalidClientTokenId", 403),
            Self::TokenExpired => ("ExpiredTokenException", "ExpiredToken", 403),
            Self::Scope(_) | Self::Mismatch => ("InvalidSignatureException", "SignatureDoesNotMatch", 403),
        };
        let (code, status) = match (protocol, self) {
            (Protocol::Json11, _) => (json, 400),
            (Protocol::RestJson, _) => (json, status),
            (Protocol::Query, _) => (query, status),
            (Protocol::Ec2Query, Self::UnknownKey) => ("AuthFailure", 401),
            (Protocol::Ec2Query, _) => (query, status),
        };
        ApiError::new(code, status, self.to_string())
    }
}

/// Hexadecimal SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// The key that signs for one day, region and service. AWS General Reference, "Calculate the signature", step 1 to 4.
pub(crate) fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Zeroizing<[u8; 32]> {
    let start = Zeroizing::new([b"AWS4", secret.as_bytes()].concat());
    let first = mac(&start, day.as_bytes());
    [region, service, TERMINATOR].iter().fold(first, |key, part| mac(&*key, part.as_bytes()))
}

pub(crate) fn mac(key: &[u8], message: &[u8]) -> Zeroizing<[u8; 32]> {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut output = Zeroizing::new([0; 32]);
    for (to, from) in output.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    output
}

pub(crate) fn string_to_sign(date: &str, scope: &str, canonical: &str) -> String {
    format!("{ALGORITHM}\n{date}\n{scope}\n{}", sha256_hex(canonical.as_bytes()))
}

#[cfg(test)]
mod tests;
