//! Users, groups and roles: what policies hang on. IAM User Guide, "IAM identities".

use std::collections::{BTreeMap, BTreeSet};

use aws_wire::{Arn, Timestamp};
use serde::{Deserialize, Serialize};

use crate::policy_text::PolicyText;
use crate::tags::Tags;
use crate::trust::TrustPolicy;

/// The version of these records.
pub(crate) const VERSION: u8 = 1;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    User,
    Group,
    Role,
}

impl Kind {
    /// As ARNs and sentences have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    /// As the beginning of a sentence and member names have it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Role => "Role",
        }
    }

    /// What its unique ids begin with. IAM User Guide, "IAM identifiers".
    pub(crate) fn id_prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
        }
    }

    /// Characters that its inline policies may have together.
    pub(crate) fn inline_characters(self) -> usize {
        match self {
            Self::User => 2048,
            Self::Group => 5120,
            Self::Role => 10_240,
        }
    }
}

/// A user, a group or a role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Principal {
    /// The version of the record.
    pub(crate) version: u8,
    /// Whose it is.
    pub(crate) account: String,
    /// `AIDA...`, `AGPA...`, `AROA...`; never used again.
    pub(crate) id: String,
    /// Its name: unique in the account, whatever the case of its letters.
    pub(crate) name: String,
    /// `/` or `/a/b/`.
    pub(crate) path: String,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// Its tags; a group has none.
    #[serde(default)]
    pub(crate) tags: Tags,
    /// Its inline policies by name.
    #[serde(default)]
    pub(crate) inline: BTreeMap<String, PolicyText>,
    /// ARNs of the managed policies attached to it.
    #[serde(default)]
    pub(crate) attached: BTreeSet<String>,
    /// The ARN of its permissions boundary; a group has none.
    #[serde(default)]
    pub(crate) boundary: Option<String>,
    /// What the three do not share.
    pub(crate) detail: Detail,
}

/// What only one of the three has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Detail {
    /// A user and the ids of its groups.
    User { groups: BTreeSet<String> },
    /// A group.
    Group,
    /// A role.
    Role(Role),
}

/// What a role has besides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Role {
    /// Who may assume it.
    pub(crate) trust: TrustPolicy,
    /// What it is for.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// The longest session.
    pub(crate) session_seconds_max: i32,
}

impl Principal {
    pub(crate) fn kind(&self) -> Kind {
        match self.detail {
            Detail::User { .. } => Kind::User,
            Detail::Group => Kind::Group,
            Detail::Role(_) => Kind::Role,
        }
    }

    /// `arn:aws:iam::ACCOUNT:user/path/name`.
    pub(crate) fn arn(&self) -> Arn {
        Arn::new("iam", "", &self.account, format!("{}{}{}", self.kind().word(), self.path, self.name))
    }

    /// The ids of a user's groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &String> {
        let groups = match &self.detail {
            Detail::User { groups } => Some(groups),
            Detail::Group | Detail::Role(_) => None,
        };
        groups.into_iter().flatten()
    }

    /// The role's own part.
    pub(crate) fn role(&self) -> Option<&Role> {
        match &self.detail {
            Detail::Role(role) => Some(role),
            Detail::User { .. } | Detail::Group => None,
        }
    }

    /// What an explanation calls an inline policy of it.
    pub(crate) fn inline_name(&self, name: &str) -> String {
        format!("{name} (inline, {}/{})", self.kind().word(), self.name)
    }
}
