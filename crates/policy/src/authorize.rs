//! The question every call asks before it acts, and the rule that answers it for now.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_wire::{Arn, CallContext, Caller, CallerKind};

use crate::{CallerPolicies, IdentityPolicies, decide};

/// The facts of a call that conditions may ask for, by condition key. Keys are compared without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions(BTreeMap<String, Vec<String>>);

impl Conditions {
    /// No facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// The facts of a signed call that every service shares. IAM user guide, "AWS global condition context keys".
    pub fn of_call(cx: &CallContext) -> Self {
        Self::of_caller(&cx.caller)
            .with("aws:SecureTransport", cx.secure.to_string())
            .with("aws:RequestedRegion", cx.region.clone())
            .with("aws:CurrentTime", cx.time.iso())
            .with("aws:EpochTime", cx.time.seconds().to_string())
            .with("aws:ViaAWSService", "false")
            .with_all("aws:SourceIp", cx.source_ip.map(|address| address.to_string()))
            .with_all("aws:UserAgent", cx.user_agent.clone())
    }

    /// Those of them that are about the caller.
    pub fn of_caller(caller: &Caller) -> Self {
        let mut facts = Self::new()
            .with("aws:PrincipalArn", principal_arn(caller))
            .with("aws:PrincipalType", principal_type(&caller.kind))
            .with("aws:PrincipalIsAWSService", caller.service_principal().is_some().to_string());
        if caller.kind != CallerKind::Anonymous {
            facts = facts
                .with("aws:PrincipalAccount", caller.account.clone())
                .with("aws:userid", caller.principal_id.clone());
        }
        let options = [
            ("aws:PrincipalServiceName", caller.service_principal().map(str::to_owned)),
            ("aws:username", caller.user_name.clone().filter(|_| caller.kind == CallerKind::User)),
            ("aws:TokenIssueTime", caller.session.as_ref().map(|session| session.created.iso())),
        ];
        for (key, value) in options {
            facts = facts.with_all(key, value);
        }
        for (key, value) in &caller.tags {
            facts = facts.with(&format!("aws:PrincipalTag/{key}"), value.clone());
        }
        facts
    }

    /// States a fact anew: what was said under this key before is forgotten.
    #[must_use]
    pub fn instead(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.remove(&key.to_ascii_lowercase());
        self.with(key, value)
    }

    /// Adds each of the values under one key.
    #[must_use]
    pub fn with_all<V: Into<String>>(self, key: &str, values: impl IntoIterator<Item = V>) -> Self {
        values.into_iter().fold(self, |facts, value| facts.with(key, value))
    }

    /// Adds a fact; several under one key are a set.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.entry(key.to_ascii_lowercase()).or_default().push(value.into());
        self
    }

    /// The values of a key; empty when it is absent.
    pub fn values(&self, key: &str) -> &[String] {
        self.0.get(&key.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }
}

/// A role's session goes by its role's ARN.
fn principal_arn(caller: &Caller) -> String {
    let role = caller.session.as_ref().filter(|_| caller.kind == CallerKind::AssumedRole);
    role.map_or(&caller.arn, |session| &session.issuer).to_string()
}

fn principal_type(kind: &CallerKind) -> &'static str {
    match kind {
        CallerKind::Root => "Account",
        CallerKind::User => "User",
        CallerKind::AssumedRole => "AssumedRole",
        CallerKind::WebIdentity(_) => "FederatedUser",
        CallerKind::Service(_) => "Service",
        CallerKind::Anonymous => "Anonymous",
    }
}

/// What someone wants to do.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// Which action: `kms:Encrypt`.
    pub action: &'a str,
    /// To what: the resource's ARN, `*` in its place for lists and creations.
    pub resource: &'a Arn,
    /// Under which circumstances.
    pub conditions: &'a Conditions,
}

/// The answer. The reason of a denial is for the audit record and the log, never for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be done.
    Allow,
    /// It may not, because of this.
    Deny(String),
}

/// Decides calls. Asked once for every call of every API, before anything is looked at or changed.
pub trait Authorize: Send + Sync {
    /// Whether this may be done.
    fn decide(&self, request: &Request<'_>) -> Decision;
}

/// Decides by what hangs on the caller, for resources that have no policy of their own: the account's root may do everything in
/// its account, everyone else what their policies allow.
#[derive(Clone)]
pub struct ByIdentity(Arc<dyn IdentityPolicies>);

impl ByIdentity {
    /// `policies` says what hangs on each caller.
    pub fn new(policies: Arc<dyn IdentityPolicies>) -> Self {
        Self(policies)
    }
}

impl Authorize for ByIdentity {
    fn decide(&self, request: &Request<'_>) -> Decision {
        match decide(request, &self.0.policies_of(request.caller), None, false) {
            Ok(_) => Decision::Allow,
            Err(refusal) => Decision::Deny(refusal.to_string()),
        }
    }
}

/// Nothing hangs on anyone: with it only the accounts' roots may do anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPolicies;

impl IdentityPolicies for NoPolicies {
    fn policies_of(&self, _caller: &Caller) -> CallerPolicies {
        CallerPolicies::default()
    }
}

/// What a file system without a policy of its own allows: whoever reaches a mount target may mount, write and be root.
/// EFS user guide, "Default EFS file system policy".
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultFileSystemPolicy;

impl Authorize for DefaultFileSystemPolicy {
    fn decide(&self, request: &Request<'_>) -> Decision {
        let mounted = request.conditions.values("elasticfilesystem:AccessedViaMountTarget") == ["true"];
        match request.action {
            "elasticfilesystem:ClientMount"
            | "elasticfilesystem:ClientWrite"
            | "elasticfilesystem:ClientRootAccess"
                if mounted =>
            {
                Decision::Allow
            }
            action => Decision::Deny(format!("the default file system policy does not speak of {action}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_wire::{Arn, Caller};

    use std::sync::Arc;

    use super::{Authorize, ByIdentity, Conditions, Decision, DefaultFileSystemPolicy, NoPolicies, Request};

    /// EFS user guide, default file system policy: anyone at a mount target may do the three client actions, no more.
    #[test]
    fn the_default_policy_is_for_clients_of_mount_targets() {
        let resource = Arn::new("elasticfilesystem", "us-east-1", "000000000001", "file-system/fs-0");
        let through = Conditions::new().with("elasticfilesystem:AccessedViaMountTarget", "true");
        let decide = |action: &str, conditions: &Conditions| {
            let caller = Caller::anonymous();
            DefaultFileSystemPolicy.decide(&Request { caller: &caller, action, resource: &resource, conditions })
        };
        assert_eq!(decide("elasticfilesystem:ClientRootAccess", &through), Decision::Allow);
        assert!(matches!(decide("elasticfilesystem:ClientMount", &Conditions::new()), Decision::Deny(_)));
        assert!(matches!(decide("elasticfilesystem:DeleteFileSystem", &through), Decision::Deny(_)));
    }

    /// IAM User Guide, "AWS account root user": root may all, in its own account.
    #[test]
    fn root_may_all_in_its_account_and_nobody_else() {
        let conditions = Conditions::new();
        let decide = |caller: &Caller, owner: &str| {
            let resource = Arn::new("kms", "us-east-1", owner, "key/*");
            ByIdentity::new(Arc::new(NoPolicies)).decide(&Request {
                caller,
                action: "kms:Encrypt",
                resource: &resource,
                conditions: &conditions,
            })
        };
        let root = Caller::root("000000000001", None);
        assert_eq!(decide(&root, "000000000001"), Decision::Allow);
        assert_eq!(decide(&root, ""), Decision::Allow);
        assert_eq!(decide(&root, "aws"), Decision::Allow);
        assert!(matches!(decide(&root, "000000000002"), Decision::Deny(_)));
        let service = Caller::service("000000000001", "elasticfilesystem.us-east-1.amazonaws.com");
        assert!(matches!(decide(&service, "000000000001"), Decision::Deny(_)));
    }
}
