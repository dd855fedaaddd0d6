//! Where a provider is: its `endpoint` taken apart.

use std::fmt;
use std::net::IpAddr;

/// `http[s]://HOST[:PORT][/PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// A path in front of the API's own, without the slash at its end.
    pub(super) prefix: String,
}

impl Endpoint {
    /// Reads it. In the clear only loopback is reached: answers hold plaintext data keys.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let bad = || format!("endpoint = {url:?}: not of the form https://HOST[:PORT][/PREFIX]");
        let uri: hyper::Uri = url.parse().map_err(|_| bad())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        if host.is_empty() || uri.query().is_some() || url.contains(['@', '#']) {
            return Err(bad());
        }
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !secure && !loopback {
            return Err(format!(
                "endpoint = {url:?}: plaintext data keys come from there, so only loopback is reached without TLS; use https"
            ));
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self { secure, host, port, prefix: uri.path().trim_end_matches('/').to_owned() })
    }

    /// The `host` header: the port only where it is not the scheme's own.
    pub(super) fn host_header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// The path of every call.
    pub(super) fn path(&self) -> String {
        format!("{}/", self.prefix)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.host_header(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    /// docs/operations.md, "Keys in a KMS elsewhere": an endpoint is a URL, and one in the clear is on this machine.
    #[test]
    fn endpoints_are_taken_apart() {
        let endpoint = Endpoint::parse("https://kms.eu-west-1.amazonaws.com").unwrap();
        assert_eq!((endpoint.port, endpoint.path().as_str()), (443, "/"));
        assert_eq!(endpoint.host_header(), "kms.eu-west-1.amazonaws.com");
        let endpoint = Endpoint::parse("http://[::1]:4566/kms/").unwrap();
        assert_eq!((endpoint.host_header().as_str(), endpoint.path().as_str()), ("[::1]:4566", "/kms/"));
        assert!(Endpoint::parse("http://127.0.0.1:4566").is_ok() && Endpoint::parse("http://localhost").is_ok());
        assert!(Endpoint::parse("http://kms.example").unwrap_err().contains("use https"));
        for bad in ["kms.example", "ftp://x", "https://", "https://a@b", "https://a/?b", "https://a#b"] {
            assert!(Endpoint::parse(bad).unwrap_err().contains("not of the form"), "{bad}");
        }
    }
}
