//! What the control plane asks of key management. It knows that keys are granted, made and destroyed, not how.

use aws_wire::CallContext;
use serde::{Deserialize, Serialize};
use storage::BoxFuture;

/// The encryption context of every data key of a file system has exactly this one pair: the name, and the id.
pub const CONTEXT_NAME: &str = "aws:elasticfilesystem:filesystem:id";

/// Which KMS key a file system's data key is made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChoice<'a> {
    /// The file service's own.
    Service,
    /// The caller's, in any spelling.
    Chosen(&'a str),
}

/// A KMS key that the file service may use for one file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyGrant {
    /// The KMS key's ARN.
    pub key_arn: String,
    /// The grant that lets the service use it; empty where a provider needs none.
    pub grant_id: String,
    /// The configured key service elsewhere that has the KMS key; none: it is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// The two keys of a file system: one for contents, one for everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// File contents.
    Data,
    /// Names, attributes, maps.
    Metadata,
}

impl KeyPurpose {
    /// The name under which the wrapped key of a file system is kept.
    #[must_use]
    pub fn name(self, file_system: &str) -> String {
        match self {
            Self::Data => format!("{file_system}/data"),
            Self::Metadata => format!("{file_system}/metadata"),
        }
    }
}

/// Why key management did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataKeysError {
    /// The KMS key cannot be used; the reason is for the caller.
    #[error("{0}")]
    Refused(String),
    /// No answer now; the reason is for the log.
    #[error("{0}")]
    Unavailable(String),
}

/// Where the account and region of a file system are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The account.
    pub account: &'a str,
    /// The region.
    pub region: &'a str,
}

/// Key management, as the control plane needs it.
pub trait DataKeys: Send + Sync {
    /// In the name of the caller: checks that the KMS key can be used and grants its use to the file service for this
    /// file system. On failure nothing is left behind.
    fn grant<'a>(
        &'a self,
        cx: &'a CallContext,
        file_system: &'a str,
        choice: KeyChoice<'a>,
    ) -> BoxFuture<'a, Result<KeyGrant, DataKeysError>>;

    /// As the file service: makes a data key under the granted KMS key and keeps it, wrapped. Done before is done.
    fn make<'a>(
        &'a self,
        scope: Scope<'a>,
        file_system: &'a str,
        purpose: KeyPurpose,
        grant: &'a KeyGrant,
    ) -> BoxFuture<'a, Result<(), DataKeysError>>;

    /// Destroys both wrapped keys of a file system for ever and ends its grants, whichever of them there are.
    fn destroy<'a>(&'a self, scope: Scope<'a>, file_system: &'a str) -> BoxFuture<'a, Result<(), DataKeysError>>;
}

#[cfg(test)]
mod tests {
    use super::KeyGrant;

    /// docs/on-disk-format.md, "Records of the control plane": a grant on a key of ours is written as it always was, and what
    /// was written before there were providers is read.
    #[test]
    fn a_grant_without_a_provider_is_as_before() {
        let text = r#"{"key_arn":"arn:aws:kms:r:1:key/k","grant_id":"g"}"#;
        let grant: KeyGrant = serde_json::from_str(text).unwrap();
        assert_eq!((grant.grant_id.as_str(), &grant.provider), ("g", &None));
        assert_eq!(serde_json::to_string(&grant).unwrap(), text);
        let elsewhere = KeyGrant { provider: Some("p".to_owned()), ..grant };
        assert_eq!(serde_json::from_str::<KeyGrant>(&serde_json::to_string(&elsewhere).unwrap()).unwrap(), elsewhere);
    }
}
