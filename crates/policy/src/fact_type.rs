//! The types of condition context keys' values. IAM API, `ContextEntry`, ContextKeyType.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::condition::{moment, number};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactType {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// An IP address.
    Ip,
    /// Bytes in base 64.
    Binary,
    /// A time: ISO 8601 or seconds since 1970.
    Date,
}

impl FactType {
    /// Whether a value is of this type.
    pub fn fits(self, value: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Number => number(value).is_some(),
            Self::Bool => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Self::Ip => value.parse::<IpAddr>().is_ok(),
            Self::Binary => STANDARD.decode(value).is_ok(),
            Self::Date => moment(value).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FactType;

    /// IAM API, ContextEntry: a value is one of its type.
    #[test]
    fn values_fit_their_types() {
        for (kind, good, bad) in [
            (FactType::Number, "7.5", "seven"),
            (FactType::Bool, "True", "yes"),
            (FactType::Ip, "2001:db8::1", "10.0.0.0/8"),
            (FactType::Binary, "QUI=", "~"),
            (FactType::Date, "2026-11-28T10:00:00Z", "soon"),
        ] {
            assert!(kind.fits(good) && !kind.fits(bad), "{kind:?}");
            assert!(FactType::Text.fits(bad));
        }
    }
}
