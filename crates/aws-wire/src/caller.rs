//! Who calls and under which circumstances: what every handler is told besides its input.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Arn, Timestamp};

/// What kind of identity a caller is. IAM User Guide, "Principal"; CloudTrail `userIdentity.type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// The account's root.
    Root,
    /// An IAM user.
    User,
    /// A role's session.
    AssumedRole,
    /// A service that acts for an account, by its principal (`elasticfilesystem.REGION.amazonaws.com`).
    Service(String),
    /// Somebody whom a registered OpenID Connect provider vouches for, and who is about to assume a role.
    WebIdentity(WebIdentity),
    /// Nobody in particular: a client that signed nothing.
    Anonymous,
}

/// What a session knows about where it comes from. CloudTrail `userIdentity.sessionContext`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The session's name: the last part of an assumed role's ARN, the user's name otherwise.
    pub name: String,
    /// The role that was assumed, or the user who asked for the session.
    pub issuer: Arn,
    /// The issuer's unique id: `AROA...` or `AIDA...`.
    pub issuer_id: String,
    /// When the session was made.
    pub created: Timestamp,
    /// What it was made with.
    pub details: SessionDetails,
}

/// What a session was made with, besides its tags. STS API, AssumeRole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionDetails {
    /// The session policy, as its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// ARNs of managed session policies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy_arns: Vec<String>,
    /// Keys of tags that go on to sessions made by this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transitive_tag_keys: Vec<String>,
    /// Who is behind it, as the first session of a chain said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// The ARN of the provider that vouched, when it was made by AssumeRoleWithWebIdentity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated_provider: Option<String>,
}

/// Somebody whom a provider vouches for. CloudTrail, `userIdentity` of type `WebIdentityUser`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebIdentity {
    /// The provider's ARN.
    pub provider: Arn,
    /// The audience that the provider's token is for.
    pub audience: String,
    /// The provider's name for the person or program.
    pub subject: String,
    /// How the subject was authenticated, where the token says so.
    pub methods: Vec<String>,
}

/// An authenticated identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account it belongs to.
    pub account: String,
    /// Its ARN: `arn:aws:iam::ACCOUNT:root` and so on.
    pub arn: Arn,
    /// The unique id: the account's number for root, `AIDA...` for users.
    pub principal_id: String,
    /// The user's name; none for root and services.
    pub user_name: Option<String>,
    /// The access key that signed; none for calls inside the process.
    pub access_key_id: Option<String>,
    /// The session that the access key belongs to; none for long-term keys and inside the process.
    pub session: Option<Session>,
    /// The tags of the user, the role or the session: `aws:PrincipalTag/KEY` in conditions.
    pub tags: BTreeMap<String, String>,
    /// What it is.
    pub kind: CallerKind,
}

impl Caller {
    /// The root of an account.
    pub fn root(account: &str, access_key_id: Option<String>) -> Self {
        Self {
            account: account.to_owned(),
            arn: Arn::new("iam", "", account, "root"),
            principal_id: account.to_owned(),
            user_name: None,
            access_key_id,
            session: None,
            tags: BTreeMap::new(),
            kind: CallerKind::Root,
        }
    }

    /// A service that works for `account`, for example `elasticfilesystem.us-east-1.amazonaws.com`.
    pub fn service(account: &str, principal: &str) -> Self {
        Self {
            account: account.to_owned(),
            arn: Arn::new("iam", "", account, format!("service/{principal}")),
            principal_id: principal.to_owned(),
            user_name: None,
            access_key_id: None,
            session: None,
            tags: BTreeMap::new(),
            kind: CallerKind::Service(principal.to_owned()),
        }
    }

    /// A client that signed nothing; it matches the principal `*` only.
    pub fn anonymous() -> Self {
        Self {
            account: "anonymous".to_owned(),
            arn: Arn::new("iam", "", "", "anonymous"),
            principal_id: "ANONYMOUS_PRINCIPAL".to_owned(),
            user_name: None,
            access_key_id: None,
            session: None,
            tags: BTreeMap::new(),
            kind: CallerKind::Anonymous,
        }
    }

    /// The service principal, when a service calls.
    pub fn service_principal(&self) -> Option<&str> {
        match &self.kind {
            CallerKind::Service(principal) => Some(principal),
            CallerKind::Root
            | CallerKind::User
            | CallerKind::AssumedRole
            | CallerKind::WebIdentity(_)
            | CallerKind::Anonymous => None,
        }
    }
}

/// One call's circumstances.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Who calls.
    pub caller: Caller,
    /// The region that the signature was made for.
    pub region: String,
    /// The account that the call works on: the caller's own.
    pub account: String,
    /// The id in `x-amzn-RequestId` and in the audit record.
    pub request_id: String,
    /// Where the call came from; none for calls inside the process.
    pub source_ip: Option<IpAddr>,
    /// The client's word about itself, bounded and printable.
    pub user_agent: Option<String>,
    /// Whether the call came over TLS.
    pub secure: bool,
    /// When it came.
    pub time: Timestamp,
}
