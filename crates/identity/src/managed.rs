//! Managed policies and their versions. IAM User Guide, "Managed policies and inline policies", "Versioning IAM policies".

use std::collections::BTreeMap;

use aws_wire::{Arn, Timestamp};
use serde::{Deserialize, Serialize};

use crate::policy_text::PolicyText;
use crate::tags::Tags;

/// The account in the ARNs of AWS's own policies.
pub(crate) const AWS: &str = "aws";

/// A managed policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ManagedPolicy {
    /// The version of the record.
    pub(crate) version: u8,
    /// Whose it is; `aws` for AWS's own.
    pub(crate) account: String,
    /// `ANPA...`.
    pub(crate) id: String,
    /// Its name, unique in the account.
    pub(crate) name: String,
    /// `/` or `/a/b/`.
    pub(crate) path: String,
    /// What it is for.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// When its newest version was made.
    pub(crate) updated: Timestamp,
    /// Its tags.
    #[serde(default)]
    pub(crate) tags: Tags,
    /// Its versions by number, at least one.
    pub(crate) versions: BTreeMap<u32, PolicyVersion>,
    /// The version in force.
    pub(crate) default: u32,
    /// The greatest number ever given out.
    pub(crate) latest: u32,
}

/// One version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PolicyVersion {
    /// What it says.
    pub(crate) document: PolicyText,
    /// When it was made.
    pub(crate) created: Timestamp,
}

impl ManagedPolicy {
    /// `arn:aws:iam::ACCOUNT:policy/path/name`.
    pub(crate) fn arn(&self) -> Arn {
        Arn::new("iam", "", &self.account, format!("policy{}{}", self.path, self.name))
    }

    /// The version in force; a policy whose record lacks it says nothing.
    pub(crate) fn in_force(&self) -> Option<&PolicyVersion> {
        self.versions.get(&self.default)
    }

    /// Whether it is one of AWS's own.
    pub(crate) fn is_aws(&self) -> bool {
        self.account == AWS
    }
}

/// `v3` as a number.
pub(crate) fn number(version_id: &str) -> Option<u32> {
    version_id.strip_prefix('v')?.parse().ok()
}

/// A number as `v3`.
pub(crate) fn version_id(number: u32) -> String {
    format!("v{number}")
}
