//! The stored records of `control`: one version byte, then JSON. docs/on-disk-format.md has the table.

use std::net::Ipv4Addr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ControlError, KeyGrant};

const VERSION: u8 = 1;
const CURE: &str = "restore the data directory from a backup";

/// Where a resource is in its life. EFS API, LifeCycleState.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifecycle {
    /// Its keys are being made; nobody has seen it, and a crash undoes it.
    Preparing,
    /// Being made.
    Creating,
    /// In use.
    Available,
    /// Being removed.
    Deleting,
    /// It cannot be made usable now; the log and `coffer status` say why, and it is tried again.
    Error,
}

impl Lifecycle {
    /// The word of the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Preparing | Self::Creating => "creating",
            Self::Available => "available",
            Self::Deleting => "deleting",
            Self::Error => "error",
        }
    }
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// EFS API, ThroughputMode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Throughput {
    /// By size, with bursts.
    Bursting,
    /// So many MiB/s.
    Provisioned(f64),
    /// As needed.
    Elastic,
}

/// A zone by both of its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// For example `us-east-1a`.
    pub name: String,
    /// For example `use1-az1`.
    pub id: String,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSystem {
    /// `fs-` and 17 hexadecimal digits.
    pub id: String,
    /// The account that owns it.
    pub account: String,
    /// The region it is in.
    pub region: String,
    /// The caller's token.
    pub creation_token: String,
    /// When it was asked for, in seconds since 1970.
    pub created: i64,
    /// Where it is in its life.
    pub state: Lifecycle,
    /// `maxIO` instead of `generalPurpose`.
    pub max_io: bool,
    /// Its throughput mode.
    pub throughput: Throughput,
    /// Its zone, if it is One Zone.
    pub zone: Option<Zone>,
    /// Whether the API calls it encrypted. Its contents are sealed either way.
    pub encrypted: bool,
    /// The KMS key of its data key and the service's grant on it; none while preparing.
    pub data_grant: Option<KeyGrant>,
    /// The same of its metadata key.
    pub metadata_grant: Option<KeyGrant>,
    /// The key of its file handles, wrapped by the control key.
    #[serde(with = "as_hex")]
    pub handle_key: Vec<u8>,
    /// Its tags, in the order they came.
    pub tags: Vec<Tag>,
}

impl FileSystem {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:elasticfilesystem:{}:{}:file-system/{}", self.region, self.account, self.id)
    }
}

/// A mount target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountTarget {
    /// `fsmt-` and 17 hexadecimal digits.
    pub id: String,
    /// Its file system.
    pub file_system: String,
    /// The account that owns it.
    pub account: String,
    /// The region it is in.
    pub region: String,
    /// Where it is in its life.
    pub state: Lifecycle,
    /// Its subnet.
    pub subnet: String,
    /// The subnet's VPC.
    pub vpc: String,
    /// The subnet's zone.
    pub zone: Zone,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its network interface's id.
    pub interface: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
}

/// The identity that replaces the client's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosixUser {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups, at most 16.
    pub secondary_gids: Vec<u32>,
}

/// How the root directory of an access point is made where it does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreationInfo {
    /// Owner.
    pub owner_uid: u32,
    /// Group.
    pub owner_gid: u32,
    /// Mode bits.
    pub mode: u16,
    /// The mode as it was given, three or four octal digits.
    pub permissions: String,
}

/// An access point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPoint {
    /// `fsap-` and 17 hexadecimal digits.
    pub id: String,
    /// Its file system.
    pub file_system: String,
    /// The account that owns it.
    pub account: String,
    /// The region it is in.
    pub region: String,
    /// The caller's token.
    pub client_token: String,
    /// The identity of everything done through it.
    pub posix_user: Option<PosixUser>,
    /// Its root directory.
    pub path: String,
    /// How that is made where it does not exist.
    pub creation_info: Option<CreationInfo>,
    /// Its tags, in the order they came.
    pub tags: Vec<Tag>,
}

impl AccessPoint {
    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:elasticfilesystem:{}:{}:access-point/{}", self.region, self.account, self.id)
    }
}

/// The last address that was given out in a subnet, so that the next is a fresh one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubnetRecord {
    pub(crate) last: Ipv4Addr,
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, ControlError> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, record).map_err(|cause| ControlError::Damaged(cause.to_string()))?;
    Ok(bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ControlError> {
    match bytes.split_first() {
        Some((&VERSION, json)) => {
            serde_json::from_slice(json).map_err(|cause| ControlError::Damaged(format!("{name}: {cause}; {CURE}")))
        }
        Some((version, _)) => {
            let cure = "start the version that wrote it";
            Err(ControlError::Damaged(format!(
                "{name}: format version {version}, but this server reads {VERSION}; {cure}"
            )))
        }
        None => Err(ControlError::Damaged(format!("{name}: empty; {CURE}"))),
    }
}

/// Bytes as hexadecimal text in JSON.
mod as_hex {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}
