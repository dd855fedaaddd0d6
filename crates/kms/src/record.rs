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
    /// Records without it are of keys whose material was made here.
    #[serde(default, skip_serializing_if = "Origin::is_own")]
    pub(crate) origin: Origin,
    /// The state that the key had when the day of imported material came; while the material is still there it comes back
    /// where the clock is set right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before_expiry: Option<KeyState>,
}

/// Where the material of a KMS key comes from. KMS API, KeyMetadata, `Origin`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// It is made here.
    #[default]
    #[serde(rename = "AWS_KMS")]
    AwsKms,
    /// It is imported.
    #[serde(rename = "EXTERNAL")]
    External,
}

impl Origin {
    /// The API's name.
    pub(crate) fn name(self) -> crate::model::OriginType {
        match self {
            Self::AwsKms => crate::model::OriginType::AwsKms,
            Self::External => crate::model::OriginType::External,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_own(&self) -> bool {
        *self == Self::AwsKms
    }
}

impl KeyRecord {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:kms:{}:{}:key/{}", self.region, self.account, self.id)
    }

    /// What conditions call the key's kind.
    pub(crate) fn kind_names(&self) -> KindNames {
        KindNames {
            spec: self.kind.spec().as_str(),
            usage: self.kind.usage().as_str(),
            origin: self.origin.name().as_str(),
        }
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
    /// Imported material that the next rotation makes the last version; until then it belongs to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<Version>,
    /// Of a key with imported material: what the ids of its versions are made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) salt: Option<IdSalt>,
}

impl MaterialRecord {
    /// Of a key whose material was made here.
    pub(crate) fn of(key: &KeyRecord, first: Version) -> Self {
        Self { key: key.id.clone(), versions: vec![first], pending: None, salt: None }
    }

    /// Every version with material that is kept, the one that waits for a rotation too.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().chain(&self.pending)
    }

    /// The same, to be changed.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Version> {
        self.versions.iter_mut().chain(&mut self.pending)
    }
}

/// 32 random bytes without which the id of imported material says nothing about it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct IdSalt(#[serde(with = "as_base64")] pub(crate) Vec<u8>);

impl std::fmt::Debug for IdSalt {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("IdSalt")
    }
}

/// One version of a KMS key's material.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// 64 hexadecimal digits; the first half is the version tag of blobs.
    pub(crate) id: String,
    pub(crate) created: Seconds,
    /// None while imported material is deleted: its id stays, and the same material may come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wrapped: Option<Wrapped>,
    /// What made it; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotated: Option<Rotated>,
    /// Of imported material.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) imported: Option<Imported>,
}

/// What the import of material said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Imported {
    /// When it expires, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) valid_to: Option<Seconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
}

impl Version {
    /// Whether its day has come, if it is imported material that expires.
    pub(crate) fn is_expired(&self, now: Seconds) -> bool {
        self.imported.as_ref().and_then(|imported| imported.valid_to).is_some_and(|valid_to| valid_to <= now)
    }

    /// Whether there is material that has not expired.
    pub(crate) fn is_there(&self, now: Seconds) -> bool {
        self.wrapped.is_some() && !self.is_expired(now)
    }
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
        assert_eq!((record.origin, record.before_expiry), (Origin::AwsKms, None));
    }

    /// docs/on-disk-format.md, KMS records: material from before there were imports is all there, and was made here.
    #[test]
    fn a_material_record_without_imports_is_read() {
        let json = r#"{"key":"k","versions":[{"id":"i","created":0,"wrapped":{"epoch":1,"sealed":"AA=="}}]}"#;
        let record: MaterialRecord = serde_json::from_str(json).unwrap();
        assert_eq!((&record.pending, &record.salt), (&None, &None));
        assert!(record.versions.iter().all(|version| version.imported.is_none() && version.is_there(i64::MAX)));
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
    }
}
