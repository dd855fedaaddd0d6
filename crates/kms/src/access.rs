//! Who may use a KMS key, decided in the step that looks the key up. KMS developer guide, "Authentication and access control".
//!
//! One ruling over everything that speaks of the call: the key's policy, what hangs on the caller, and grants. What depends
//! on no KMS key (CreateKey, lists, GenerateRandom) is ruled by what hangs on the caller alone.

mod explain;

use std::sync::Arc;

use aws_wire::{Arn, CallContext, Caller, CallerKind};
use policy::{CallerPolicies, Conditions, Document, IdentityPolicies, Refusal, Request, ResourcePolicy, decide};

use crate::kms::Kms;
use crate::record::{GrantRecord, Grantee, KeyRecord};
use crate::{EncryptionContext, KmsError, facts, policy_document};

pub use explain::KeyRuling;

/// What a key's policy is called in explanations.
const POLICY_NAME: &str = "default";

impl Kms {
    /// Who says what hangs on a caller; set once, before the first call. Without one nothing hangs on anybody.
    pub fn judge_by(&self, policies: Arc<dyn IdentityPolicies>) {
        // A second one would split the house: the first stays.
        let _ = self.identity_policies().set(policies);
    }

    fn policies_of(&self, caller: &Caller) -> CallerPolicies {
        self.identity_policies().get().map(|policies| policies.policies_of(caller)).unwrap_or_default()
    }

    /// Whether the caller may do `action` with the key. `context` is what grants' constraints are compared with.
    pub(crate) fn allow(
        &self,
        cx: &CallContext,
        key: &KeyRecord,
        action: &str,
        context: &EncryptionContext,
    ) -> Result<(), KmsError> {
        self.allow_with(cx, key, action, context, Conditions::of_call(cx))
    }

    /// The same where conditions may ask for more than every call has; `facts` begin with those of the call.
    pub(crate) fn allow_with(
        &self,
        cx: &CallContext,
        key: &KeyRecord,
        action: &str,
        context: &EncryptionContext,
        facts: Conditions,
    ) -> Result<(), KmsError> {
        let document = self.read(|state| state.policies.get(&key.id).cloned());
        // A policy that cannot be read says nothing, and so allows nothing.
        let document = document.unwrap_or_else(|| Arc::new(policy_of_nobody()));
        self.rule(cx, key, action, context, facts, &document)
    }

    /// The same as if the key had this policy.
    pub(crate) fn rule(
        &self,
        cx: &CallContext,
        key: &KeyRecord,
        action: &str,
        context: &EncryptionContext,
        facts: Conditions,
        document: &Document,
    ) -> Result<(), KmsError> {
        self.rule_with(cx, key, action, context, facts, document, None)
    }

    /// `granted` stands in for what the key's grants say.
    #[expect(clippy::too_many_arguments, reason = "one ruling over all that a call is")]
    fn rule_with(
        &self,
        cx: &CallContext,
        key: &KeyRecord,
        action: &str,
        context: &EncryptionContext,
        facts: Conditions,
        document: &Document,
        granted: Option<bool>,
    ) -> Result<(), KmsError> {
        let facts = self.key_facts(cx, key, context, facts);
        let arn = Arn::new("kms", &key.region, &key.account, format!("key/{}", key.id));
        let iam = format!("kms:{action}");
        let request = Request { caller: &cx.caller, action: &iam, resource: &arn, conditions: &facts };
        // CreateGrant has no encryption context of its own: the terms of the new grant are held against the old one.
        let granted = granted.unwrap_or_else(|| self.granted(cx, key, action, context));
        let own = ResourcePolicy { name: POLICY_NAME, owner: &key.account, document };
        match decide(&request, &self.policies_of(&cx.caller), Some(own), granted) {
            Ok(_) => Ok(()),
            Err(refusal) => {
                tracing::debug!(caller = %cx.caller.arn, action = iam, key = %arn, why = %refusal, "denied");
                // Whether another account's key exists is nobody's business here.
                Err(if key.account == cx.account {
                    refused(cx, &arn, &iam, &refusal)
                } else {
                    foreign(cx, &arn.to_string())
                })
            }
        }
    }

    /// The same, grants left aside.
    pub(crate) fn allow_without_grants(
        &self,
        cx: &CallContext,
        key: &KeyRecord,
        action: &str,
        facts: Conditions,
    ) -> Result<(), KmsError> {
        let document = self.read(|state| state.policies.get(&key.id).cloned());
        let document = document.unwrap_or_else(|| Arc::new(policy_of_nobody()));
        let granted = Some(false);
        self.rule_with(cx, key, action, &EncryptionContext::default(), facts, &document, granted)
    }

    /// The caller's grants on a key that let it make grants.
    pub(crate) fn parents_of(&self, cx: &CallContext, key: &KeyRecord) -> Vec<Arc<GrantRecord>> {
        self.read(|state| {
            let own = state.grants_of(&key.id).filter(|grant| is_grantee(&cx.caller, &grant.grantee));
            own.filter(|grant| grant.operations.iter().any(|name| name == "CreateGrant")).cloned().collect()
        })
    }

    /// Whether what hangs on the caller allows this; `resource` is `key/*`, `*`, or an alias.
    pub(crate) fn allow_here(
        &self,
        cx: &CallContext,
        action: &str,
        resource: &str,
        facts: Conditions,
    ) -> Result<(), KmsError> {
        let facts = facts.with("kms:CallerAccount", cx.caller.account.clone());
        let arn = Arn::new("kms", &cx.region, &cx.account, resource);
        let iam = format!("kms:{action}");
        let request = Request { caller: &cx.caller, action: &iam, resource: &arn, conditions: &facts };
        match decide(&request, &self.policies_of(&cx.caller), None, false) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refused(cx, &arn, &iam, &refusal)),
        }
    }

    /// Whether the caller's own policies let it do this through a service, with a KMS key of which only the ARN is known here.
    ///
    /// # Errors
    /// [`KmsError::AccessDenied`].
    pub fn may_through(
        &self,
        cx: &CallContext,
        service: &str,
        action: &str,
        key: &Arn,
        context: &EncryptionContext,
    ) -> Result<(), KmsError> {
        let mut facts =
            facts::through(Conditions::of_call(cx), service).with("kms:CallerAccount", cx.caller.account.clone());
        for (name, value) in context.pairs() {
            facts = facts.with(&format!("kms:EncryptionContext:{name}"), value.clone());
        }
        // Its own KMS judges the key's policy; here it counts as one that leaves everything to the caller's account.
        let document = policy_document::read(&policy_document::default_of(&cx.caller.account))?;
        let own = ResourcePolicy { name: POLICY_NAME, owner: &key.account, document: &document };
        let iam = format!("kms:{action}");
        let request = Request { caller: &cx.caller, action: &iam, resource: key, conditions: &facts };
        match decide(&request, &self.policies_of(&cx.caller), Some(own), false) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refused(cx, key, &iam, &refusal)),
        }
    }

    /// KMS developer guide, "AWS KMS condition keys": what is known of every call about a key.
    fn key_facts(
        &self,
        cx: &CallContext,
        key: &KeyRecord,
        context: &EncryptionContext,
        facts: Conditions,
    ) -> Conditions {
        let kind = key.kind_names();
        let mut facts = facts
            .with("kms:CallerAccount", cx.caller.account.clone())
            .with("kms:KeySpec", kind.spec)
            .with("kms:KeyUsage", kind.usage)
            // The older names of the two, which policies may still ask for.
            .with("kms:CustomerMasterKeySpec", kind.spec)
            .with("kms:CustomerMasterKeyUsage", kind.usage)
            .with("kms:KeyOrigin", kind.origin)
            .with("kms:MultiRegion", "false")
            .with("aws:ResourceAccount", key.account.clone());
        for (name, value) in context.pairs() {
            facts = facts
                .with(&format!("kms:EncryptionContext:{name}"), value.clone())
                .with("kms:EncryptionContextKeys", name.clone());
        }
        for (name, value) in &key.tags {
            facts = facts.with(&format!("aws:ResourceTag/{name}"), value.clone());
        }
        self.read(|state| {
            state
                .aliases_of(&key.id)
                .fold(facts, |facts, (_, alias)| facts.with("kms:ResourceAliases", alias.name.clone()))
        })
    }

    /// Whether a grant lets the caller do this.
    fn granted(&self, cx: &CallContext, key: &KeyRecord, action: &str, context: &EncryptionContext) -> bool {
        self.read(|state| {
            let grants = state.grants.get(&key.id);
            grants.is_some_and(|grants| {
                grants.allowing(action, context).any(|grant| is_grantee(&cx.caller, &grant.grantee))
            })
        })
    }
}

/// Whether a grant's principal is this caller: itself, its role, or, for the account's root, the account.
pub(crate) fn is_grantee(caller: &Caller, grantee: &Grantee) -> bool {
    let name = grantee.name();
    match &caller.kind {
        CallerKind::Service(principal) => name == principal,
        CallerKind::Anonymous | CallerKind::WebIdentity(_) => false,
        CallerKind::Root => name == caller.account || name == caller.arn.to_string(),
        CallerKind::User | CallerKind::AssumedRole => {
            name == caller.arn.to_string()
                || caller.session.as_ref().is_some_and(|session| name == session.issuer.to_string())
        }
    }
}

/// The fact that the key was named by an alias: `kms:RequestAlias`.
pub(crate) fn named_by(cx: &CallContext, spelling: &str) -> Conditions {
    let facts = Conditions::of_call(cx);
    let alias = match spelling.split_once(":alias/") {
        Some((_, name)) => Some(format!("alias/{name}")),
        None => spelling.starts_with("alias/").then(|| spelling.to_owned()),
    };
    facts.with_all("kms:RequestAlias", alias)
}

/// The facts of a request that brings tags: `aws:RequestTag/KEY`, `aws:TagKeys`.
pub(crate) fn with_tags<'a>(
    facts: Conditions,
    tags: impl IntoIterator<Item = (&'a String, Option<&'a String>)>,
) -> Conditions {
    tags.into_iter().fold(facts, |facts, (name, value)| {
        facts.with_all(&format!("aws:RequestTag/{name}"), value.cloned()).with("aws:TagKeys", name.clone())
    })
}

/// A document without a statement that names anybody.
fn policy_of_nobody() -> Document {
    Document { version: "2012-10-17".to_owned(), id: None, statements: Vec::new() }
}

/// The answer about another account's key, whether it is not there or not for the caller.
pub(crate) fn foreign(cx: &CallContext, resource: &str) -> KmsError {
    KmsError::AccessDenied(format!(
        "User: {} is not authorized to perform this action on resource: {resource} because the resource does not exist in this \
         Region, no resource-based policies allow access, or a resource-based policy explicitly denies access",
        cx.caller.arn
    ))
}

/// The denial, as AWS words it.
fn refused(cx: &CallContext, resource: &Arn, iam: &str, refusal: &Refusal) -> KmsError {
    let caller = cx.caller.service_principal().map_or_else(|| cx.caller.arn.to_string(), str::to_owned);
    KmsError::AccessDenied(format!(
        "User: {caller} is not authorized to perform: {iam} on resource: {resource} {}",
        refusal.because(iam)
    ))
}
