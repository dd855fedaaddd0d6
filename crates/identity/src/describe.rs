//! Identities as answers show them. IAM API, data types User, Group, Role, Policy, PolicyVersion, AccessKeyMetadata.

use aws_wire::query::Xml;
use aws_wire::sigv4::percent_encode;

use crate::access_key::AccessKey;
use crate::managed::{ManagedPolicy, version_id};
use crate::principal::{Kind, Principal};
use crate::session::Credentials;
use crate::state::State;
use crate::tags;

/// A document, percent-encoded as IAM gives them out.
pub(crate) fn document(name: &'static str, text: &str) -> Xml {
    Xml::Text(name, percent_encode(text))
}

fn text(name: &'static str, value: impl Into<String>) -> Xml {
    Xml::Text(name, value.into())
}

/// How much of a thing an answer shows: lists show less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// As a list shows it.
    Listed,
    /// All, with tags and boundary.
    Whole,
}

/// The members of a User, a Group or a Role.
pub(crate) fn principal(principal: &Principal, extent: Extent) -> Vec<Xml> {
    let (name, id) = match principal.kind() {
        Kind::User => ("UserName", "UserId"),
        Kind::Group => ("GroupName", "GroupId"),
        Kind::Role => ("RoleName", "RoleId"),
    };
    let mut members = vec![
        text("Path", &*principal.path),
        text(name, &*principal.name),
        text(id, &*principal.id),
        text("Arn", principal.arn().to_string()),
        text("CreateDate", principal.created.iso()),
    ];
    if let Some(role) = principal.role() {
        members.push(document("AssumeRolePolicyDocument", role.trust.text()));
        members.extend(role.description.iter().map(|description| text("Description", &**description)));
        members.push(text("MaxSessionDuration", role.session_seconds_max.to_string()));
    }
    if extent == Extent::Whole {
        members.extend(principal.boundary.iter().map(|arn| {
            let parts = vec![text("PermissionsBoundaryType", "Policy"), text("PermissionsBoundaryArn", &**arn)];
            Xml::Node("PermissionsBoundary", parts)
        }));
        members.extend(tags::xml(&principal.tags));
    }
    members
}

/// The members of a Policy.
pub(crate) fn policy(state: &State, account: &str, policy: &ManagedPolicy, extent: Extent) -> Vec<Xml> {
    let arn = policy.arn().to_string();
    let (attached, bounded) = state.uses(account, &arn);
    let mut members = vec![
        text("PolicyName", &*policy.name),
        text("PolicyId", &*policy.id),
        text("Arn", arn),
        text("Path", &*policy.path),
        text("DefaultVersionId", version_id(policy.default)),
        text("AttachmentCount", attached.len().to_string()),
        text("PermissionsBoundaryUsageCount", bounded.len().to_string()),
        text("IsAttachable", "true"),
        text("CreateDate", policy.created.iso()),
        text("UpdateDate", policy.updated.iso()),
    ];
    if extent == Extent::Whole {
        members.extend(policy.description.iter().map(|description| text("Description", &**description)));
        members.extend(tags::xml(&policy.tags));
    }
    members
}

/// The members of a PolicyVersion; the document only where one version is asked for.
pub(crate) fn version(policy: &ManagedPolicy, number: u32, extent: Extent) -> Vec<Xml> {
    let Some(version) = policy.versions.get(&number) else { return Vec::new() };
    let mut members = Vec::new();
    if extent == Extent::Whole {
        members.push(document("Document", version.document.text()));
    }
    members.extend([
        text("VersionId", version_id(number)),
        text("IsDefaultVersion", (number == policy.default).to_string()),
        text("CreateDate", version.created.iso()),
    ]);
    members
}

/// The members of an AccessKeyMetadata.
pub(crate) fn access_key(key: &AccessKey, user_name: Option<&str>) -> Vec<Xml> {
    let mut members: Vec<Xml> = user_name.map(|name| text("UserName", name)).into_iter().collect();
    members.extend([
        text("AccessKeyId", &*key.id),
        text("Status", key.status()),
        text("CreateDate", key.created.iso()),
    ]);
    members
}

/// STS `Credentials`.
pub(crate) fn credentials(credentials: &Credentials) -> Xml {
    Xml::Node(
        "Credentials",
        vec![
            text("AccessKeyId", &*credentials.access_key_id),
            text("SecretAccessKey", credentials.secret.as_str()),
            text("SessionToken", credentials.token.as_str()),
            text("Expiration", credentials.expires.iso()),
        ],
    )
}

/// The members of a GetContextKeysForPolicyResponse.
pub(crate) fn context_keys(names: Vec<String>) -> Vec<Xml> {
    vec![Xml::Node("ContextKeyNames", names.into_iter().map(|name| text("member", name)).collect())]
}
