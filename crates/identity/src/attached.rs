//! What hangs on a caller, and what that comes to. IAM User Guide, "Policy evaluation logic".

use std::sync::Arc;

use aws_wire::{Caller, CallerKind};
use policy::{
    AttachedPolicy, CallerPolicies, Decision, Document, IdentityPolicies, Kind as Place, Request, Verdict, evaluate,
};

use crate::Identities;
use crate::managed::ManagedPolicy;
use crate::policy_text::PolicyText;
use crate::principal::{Kind, Principal};
use crate::state::State;

/// Session policies that are remembered parsed.
const PARSED_MAX: usize = 1024;

impl IdentityPolicies for Identities {
    fn policies_of(&self, caller: &Caller) -> CallerPolicies {
        let mut policies = self.look(|state| match caller.kind {
            CallerKind::User => {
                let user = state.by_id(&caller.account, Kind::User, &caller.principal_id);
                user.map(|user| of_principal(state, user)).unwrap_or_default()
            }
            CallerKind::AssumedRole => {
                let role = caller.session.as_ref().and_then(|session| {
                    // A role that was made again under the same name is another role.
                    state.by_arn(&session.issuer).filter(|role| role.id == session.issuer_id)
                });
                role.map(|role| of_principal(state, role)).unwrap_or_default()
            }
            CallerKind::Root | CallerKind::Service(_) | CallerKind::Anonymous | CallerKind::WebIdentity(_) => {
                CallerPolicies::default()
            }
        });
        policies.session = self.session_policies(caller);
        policies
    }
}

/// Where a policy comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// It is part of this user, group or role, under this name.
    Inline(&'a Principal, &'a str),
    /// It is a policy of its own.
    Managed(&'a ManagedPolicy),
}

impl Origin<'_> {
    /// What to call it in an explanation.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Inline(principal, name) => principal.inline_name(name),
            Self::Managed(policy) => policy.arn().to_string(),
        }
    }
}

/// The identity-based policies of a user, a group or a role: its own, and those of a user's groups.
pub(crate) fn hanging<'a>(
    state: &'a State,
    principal: &'a Principal,
) -> impl Iterator<Item = (Origin<'a>, &'a PolicyText)> {
    let groups = principal.groups().filter_map(|id| state.by_id(&principal.account, Kind::Group, id));
    std::iter::once(principal).chain(groups.map(|group| &**group)).flat_map(|holder| {
        let inline = holder.inline.iter().map(move |(name, policy)| (Origin::Inline(holder, name), policy));
        let attached = holder.attached.iter().filter_map(|arn| in_force(state, arn));
        inline.chain(attached)
    })
}

/// The managed policy of an ARN, with what it says now.
pub(crate) fn in_force<'a>(state: &'a State, arn: &str) -> Option<(Origin<'a>, &'a PolicyText)> {
    let policy = state.policy(arn)?;
    Some((Origin::Managed(policy), &policy.in_force()?.document))
}

fn of_principal(state: &State, principal: &Principal) -> CallerPolicies {
    let identity = hanging(state, principal)
        .map(|(origin, policy)| AttachedPolicy { name: origin.name(), document: policy.document().clone() });
    let boundary = principal.boundary.as_ref().map(|arn| {
        // A boundary cannot be deleted while it bounds; if it is gone all the same, nothing is within it.
        managed(state, arn).unwrap_or_else(|| AttachedPolicy { name: arn.clone(), document: nothing() })
    });
    CallerPolicies { identity: identity.collect(), boundary, session: Vec::new() }
}

fn managed(state: &State, arn: &str) -> Option<AttachedPolicy> {
    let (_, policy) = in_force(state, arn)?;
    Some(AttachedPolicy { name: arn.to_owned(), document: policy.document().clone() })
}

/// A document that allows nothing.
pub(crate) fn nothing() -> Arc<Document> {
    Arc::new(Document { version: "2012-10-17".to_owned(), id: None, statements: Vec::new() })
}

impl Identities {
    /// The policies that the session itself was made with.
    fn session_policies(&self, caller: &Caller) -> Vec<AttachedPolicy> {
        let Some(session) = &caller.session else { return Vec::new() };
        let inline = session
            .details
            .policy
            .iter()
            .map(|text| AttachedPolicy { name: "session policy".to_owned(), document: self.parsed(text) });
        // A session policy that was deleted allows nothing any more.
        let gone = |arn: &String| AttachedPolicy { name: arn.clone(), document: nothing() };
        let managed: Vec<AttachedPolicy> = self.look(|state| {
            let arns = session.details.policy_arns.iter();
            arns.map(|arn| managed(state, arn).unwrap_or_else(|| gone(arn))).collect()
        });
        inline.chain(managed).collect()
    }

    /// A session policy's document: it was judged before it was sealed, so one that does not parse allows nothing.
    fn parsed(&self, text: &str) -> Arc<Document> {
        if let Some(found) = self.parsed.lock().get(text) {
            return found.clone();
        }
        let document = Document::parse(text).map_or_else(|_| nothing(), Arc::new);
        let mut parsed = self.parsed.lock();
        if parsed.len() >= PARSED_MAX {
            parsed.clear();
        }
        parsed.insert(text.to_owned(), document.clone());
        document
    }
}

/// Whether any of the policies denies.
pub(crate) fn denies(policies: &CallerPolicies, request: &Request<'_>) -> bool {
    let CallerPolicies { identity, boundary, session } = policies;
    let say = |policy: &AttachedPolicy| evaluate(&policy.document, Place::Identity, request);
    identity.iter().chain(boundary).chain(session).any(|policy| matches!(say(policy), Verdict::Denies(_)))
}

/// What identity policies come to, whosever the resource is.
pub(crate) fn settle(policies: &CallerPolicies, request: &Request<'_>) -> Decision {
    let CallerPolicies { identity, boundary, session } = policies;
    let say = |policy: &AttachedPolicy| evaluate(&policy.document, Place::Identity, request);
    let all = identity.iter().chain(boundary).chain(session);
    for policy in all {
        if let Verdict::Denies(sid) = say(policy) {
            return Decision::Deny(format!("explicit deny in {}, statement '{sid}'", policy.name));
        }
    }
    let allows = |policy: &AttachedPolicy| say(policy) == Verdict::Allows;
    if !identity.iter().any(allows) {
        return Decision::Deny("no identity-based policy allows it".to_owned());
    }
    if !boundary.iter().all(allows) {
        return Decision::Deny("no permissions boundary allows it".to_owned());
    }
    if !session.is_empty() && !session.iter().any(allows) {
        return Decision::Deny("no session policy allows it".to_owned());
    }
    Decision::Allow
}
