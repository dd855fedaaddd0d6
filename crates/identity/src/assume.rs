//! What assuming a role takes and gives, however the caller is known. STS API, AssumeRole and AssumeRoleWithWebIdentity.

use std::sync::Arc;

use aws_wire::query::Xml;
use aws_wire::{Arn, CallContext, SessionDetails};
use policy::{Conditions, Decision, IdentityPolicies, Request};

use crate::attached::{denies, settle};
use crate::policy_text::PolicyText;
use crate::principal::{Principal, Role};
use crate::session::{Credentials, PACKED_BYTES_MAX, Subject, Wanted};
use crate::tags::Tags;
use crate::trust::{Question, Trust};
use crate::{Identities, IdentityError, describe, quota, target};

/// A session lasts so long when nothing is asked for.
const SECONDS_DEFAULT: i32 = 3600;

/// A role that is there, with its own part.
pub(crate) struct Found {
    pub(crate) principal: Arc<Principal>,
    pub(crate) role: Role,
    pub(crate) arn: Arn,
}

/// The role of an ARN; none when there is no such role.
pub(crate) fn role(identities: &Identities, arn: &str) -> Result<Option<Found>, IdentityError> {
    let parsed = Arn::parse(arn).filter(|arn| arn.service == "iam" && arn.resource.starts_with("role/"));
    let arn = parsed.ok_or_else(|| IdentityError::Validation(format!("{arn} is invalid")))?;
    let found = identities.look(|state| state.by_arn(&arn).cloned());
    Ok(found.and_then(|principal| {
        let role = principal.role()?.clone();
        Some(Found { principal, role, arn })
    }))
}

/// Whether the caller may do something with a role: by its trust policy, and by the caller's own policies where the trust
/// policy leaves it to them or the role is another account's.
pub(crate) fn permitted(
    identities: &Identities,
    cx: &CallContext,
    found: &Found,
    action: &str,
    conditions: &Conditions,
) -> bool {
    let caller = &cx.caller;
    let trust = found.role.trust.of_caller(caller, Question { action, role: &found.arn, conditions });
    let request = Request { caller, action, resource: &found.arn, conditions };
    let policies = identities.policies_of(caller);
    let same = found.arn.account == caller.account;
    match trust {
        Trust::Denied | Trust::Silent => false,
        Trust::Caller if same => !denies(&policies, &request),
        Trust::Caller | Trust::Account => settle(&policies, &request) == Decision::Allow,
    }
}

/// The facts of a call that a role's trust policy may ask for.
pub(crate) fn facts(cx: &CallContext, found: &Found, session_name: &str) -> Conditions {
    let mut facts = Conditions::of_call(cx).with("sts:RoleSessionName", session_name);
    let add = |facts: Conditions, key: &str, value: &str| {
        if facts.values(key).is_empty() { facts.with(key, value) } else { facts }
    };
    facts = add(facts, "aws:userid", &cx.caller.principal_id);
    if let Some(name) = &cx.caller.user_name {
        facts = add(facts, "aws:username", name);
    }
    for (key, value) in &cx.caller.tags {
        facts = add(facts, &format!("aws:PrincipalTag/{key}"), value);
    }
    for (key, value) in &found.principal.tags {
        facts = add(facts, &format!("aws:ResourceTag/{key}"), value);
        facts = add(facts, &format!("iam:ResourceTag/{key}"), value);
    }
    facts
}

/// How long the session lasts.
pub(crate) fn seconds(found: &Found, wanted: Option<i32>, chained: bool) -> Result<i64, IdentityError> {
    let seconds = wanted.unwrap_or(SECONDS_DEFAULT);
    if chained && seconds > SECONDS_DEFAULT {
        let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
        return Err(IdentityError::Validation(text.to_owned()));
    }
    if seconds > found.role.session_seconds_max {
        let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(IdentityError::Validation(text.to_owned()));
    }
    Ok(i64::from(seconds))
}

/// Session policies, judged.
pub(crate) fn policies(
    identities: &Identities,
    cx: &CallContext,
    inline: Option<String>,
    arns: Vec<String>,
    details: &mut SessionDetails,
) -> Result<(), IdentityError> {
    if let Some(text) = &inline {
        PolicyText::for_identity(text)?;
    }
    if arns.len() > quota::ATTACHED {
        return Err(target::exceeded("PoliciesPerSession", quota::ATTACHED));
    }
    identities.look(|state| arns.iter().try_for_each(|arn| target::attachable(state, cx, arn)))?;
    details.policy = inline;
    details.policy_arns = arns;
    Ok(())
}

/// A session that was made.
pub(crate) struct Assumed {
    credentials: Credentials,
    arn: Arn,
    id: String,
    packed_percent: usize,
}

/// Makes the session.
pub(crate) fn assume(
    identities: &Identities,
    cx: &CallContext,
    found: &Found,
    name: &str,
    (seconds, tags, details): (i64, Tags, SessionDetails),
) -> Result<Assumed, IdentityError> {
    let texts = details.policy.iter().chain(&details.policy_arns).chain(&details.transitive_tag_keys);
    let packed: usize = texts.map(String::len).chain(tags.iter().map(|(key, value)| key.len() + value.len())).sum();
    let packed_percent = (packed * 100).div_ceil(PACKED_BYTES_MAX);
    if packed_percent > 100 {
        return Err(IdentityError::PackedPolicyTooLarge(packed_percent));
    }
    // What the role is tagged with is the session's, too, unless the session says otherwise.
    let mut all = found.principal.tags.clone();
    all.retain(|key, _| !tags.keys().any(|other| other.eq_ignore_ascii_case(key)));
    all.extend(tags);
    let id = found.principal.id.clone();
    let subject = Subject::Role { id: id.clone(), arn: found.arn.to_string(), session: name.to_owned() };
    let account = found.arn.account.clone();
    let arn = Arn::new("sts", "", &account, format!("assumed-role/{}/{name}", found.principal.name));
    let wanted = Wanted { account, subject, created: cx.time, seconds, tags: all, details };
    let credentials = identities.tokens().issue(wanted, identities.env());
    Ok(Assumed { credentials, arn, id: format!("{id}:{name}"), packed_percent })
}

impl Assumed {
    /// The members that both actions answer with.
    pub(crate) fn xml(&self) -> Vec<Xml> {
        let user = vec![Xml::Text("AssumedRoleId", self.id.clone()), Xml::Text("Arn", self.arn.to_string())];
        vec![
            describe::credentials(&self.credentials),
            Xml::Node("AssumedRoleUser", user),
            Xml::Text("PackedPolicySize", self.packed_percent.to_string()),
        ]
    }
}
