//! The stored records of `kms`: one version byte, then JSON. docs/on-disk-format.md has the table.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::KmsError;
use crate::kind::Kind;
use crate::wrapped::{Wrapped, as_base64};

const VERSION: u8 = 1;

/// Seconds since 1970, as the API counts time.
pub(crate) type Seconds = i64;

/// Who makes and governs a KMS key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Manager {
    /// The customer.
    Customer,
    /// A service of this installation, under a fixed policy.
    Service,
}

/// The state of a KMS key. KMS developer guide, "Key states".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// Usable.
    Enabled,
    /// Switched off.
    Disabled,
    /// Waits for its deletion at this time; everything about its use is over.
    PendingDeletion {
        /// When the waiting period ends, in seconds since 1970.
        deletion: i64,
    },
    /// Has no key material yet.
    PendingImport,
}

/// A KMS key, all but its material.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyRecord {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) manager: Manager,
    pub(crate) state: KeyState,
    pub(crate) created: Seconds,
    pub(crate) description: String,
    pub(crate) policy: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) rotation: Rotation,
    /// Records without it are of symmetric encryption keys.
    #[serde(default)]
    pub(crate) kind: Kind,
    /// Of a key whose material is a key pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) public_key: Option<StoredPublicKey>,
}

impl KeyRecord {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:kms:{}:{}:key/{}", self.region, self.account, self.id)
    }

    /// What conditions call the key's kind.
    pub(crate) fn kind_names(&self) -> KindNames {
        KindNames { spec: self.kind.spec().as_str(), usage: self.kind.usage().as_str(), origin: "AWS_KMS" }
    }
}

/// The API's names for the kind of a KMS key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KindNames {
    pub(crate) spec: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) origin: &'static str,
}

/// A public key as records keep it: SubjectPublicKeyInfo, DER. Verifying and encrypting need no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct StoredPublicKey(#[serde(with = "as_base64")] pub(crate) Vec<u8>);

/// Automatic rotation of a KMS key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rotation {
    pub(crate) enabled: bool,
    pub(crate) period_days: u16,
    /// When the next version is due, while enabled.
    pub(crate) next: Seconds,
}

/// The versions of a KMS key; the last one encrypts, all decrypt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MaterialRecord {
    pub(crate) key: String,
    pub(crate) versions: Vec<Version>,
}

/// One version of a KMS key's material.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// 64 hexadecimal digits; the first half is the version tag of blobs.
    pub(crate) id: String,
    pub(crate) created: Seconds,
    pub(crate) wrapped: Wrapped,
    /// What made it; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotated: Option<Rotated>,
}

/// Why a KMS key got another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rotated {
    /// Its time had come.
    Automatic,
    /// RotateKeyOnDemand.
    OnDemand,
}

/// A name for a KMS key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AliasRecord {
    pub(crate) account: String,
    pub(crate) region: String,
    /// With its `alias/`.
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) created: Seconds,
    pub(crate) updated: Seconds,
}

impl AliasRecord {
    pub(crate) fn arn(&self) -> String {
        alias_arn(&self.account, &self.region, &self.name)
    }
}

pub(crate) fn alias_arn(account: &str, region: &str, name: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:{name}")
}

/// Who may use, or retire, a grant: given as a principal or as the name of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Grantee {
    Principal(String),
    Service(String),
}

impl Grantee {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Principal(name) | Self::Service(name) => name,
        }
    }
}

/// Permission to use a KMS key, beside its policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GrantRecord {
    pub(crate) key: String,
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) grantee: Grantee,
    pub(crate) retiring: Option<Grantee>,
    pub(crate) operations: Vec<String>,
    pub(crate) constraints: Constraints,
    pub(crate) created: Seconds,
    pub(crate) issuing_account: String,
}

/// When a grant applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Constraints {
    pub(crate) equals: Option<BTreeMap<String, String>>,
    pub(crate) subset: Option<BTreeMap<String, String>>,
}

/// A wrapped data key kept for a service, wrapped once more under the domain key so that it can be erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CustodyRecord {
    pub(crate) name: String,
    pub(crate) wrapped: Wrapped,
}

/// Something was deleted and the epoch must move on to make that final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErasureRecord {
    pub(crate) since: Seconds,
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, KmsError> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record).map_err(|cause| KmsError::Damaged(cause.to_string()))?;
    Ok(bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, KmsError> {
    match bytes.split_first() {
        Some((&VERSION, json)) => {
            serde_json::from_slice(json).map_err(|cause| KmsError::Damaged(format!("{name}: {cause}")))
        }
        Some((version, _)) => Err(KmsError::Damaged(format!("{name}: written by another version (format {version})"))),
        None => Err(KmsError::Damaged(format!("{name}: empty"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/on-disk-format.md, KMS records: a record from before there were kinds is of a symmetric encryption key.
    #[test]
    fn a_record_without_a_kind_is_symmetric() {
        let json = r#"{"id":"k","account":"a","region":"r","manager":"Customer","state":"Enabled","created":0,
            "description":"","policy":"","tags":{},"rotation":{"enabled":false,"period_days":365,"next":0}}"#;
        let record: KeyRecord = serde_json::from_str(json).unwrap();
        assert_eq!((record.kind, record.public_key), (Kind::Symmetric, None));
    }
}
