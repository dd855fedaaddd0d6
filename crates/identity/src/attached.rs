//! What hangs on a caller, and what that comes to. IAM User Guide, "Policy evaluation logic".

use std::sync::Arc;

use aws_wire::{Arn, Caller, CallerKind};
use policy::{
    AttachedPolicy, CallerPolicies, Decision, Document, IdentityPolicies, Kind as Place, Request, Verdict, evaluate,
};

use crate::Identities;
use crate::principal::{Kind, Principal};
use crate::state::State;

/// Session policies that are remembered parsed.
const PARSED_MAX: usize = 1024;

impl IdentityPolicies for Identities {
    fn policies_of(&self, caller: &Caller) -> CallerPolicies {
        let mut policies = self.look(|state| match caller.kind {
            CallerKind::User => {
                let user = state.by_id(&caller.account, Kind::User, &caller.principal_id);
                user.map(|user| of_user(state, user)).unwrap_or_default()
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

fn of_user(state: &State, user: &Arc<Principal>) -> CallerPolicies {
    let mut policies = of_principal(state, user);
    for id in user.groups() {
        if let Some(group) = state.by_id(&user.account, Kind::Group, id) {
            policies.identity.extend(of_principal(state, group).identity);
        }
    }
    policies
}

/// What hangs on the principal of an ARN; none when there is no such one.
pub(crate) fn of_arn(state: &State, arn: &Arn) -> Option<CallerPolicies> {
    let principal = state.by_arn(arn)?;
    Some(match principal.kind() {
        Kind::User => of_user(state, principal),
        Kind::Group | Kind::Role => of_principal(state, principal),
    })
}

fn of_principal(state: &State, principal: &Principal) -> CallerPolicies {
    let inline = principal.inline.iter().map(|(name, policy)| AttachedPolicy {
        name: principal.inline_name(name),
        document: policy.document().clone(),
    });
    let attached = principal.attached.iter().filter_map(|arn| managed(state, arn));
    let boundary = principal.boundary.as_ref().map(|arn| {
        // A boundary cannot be deleted while it bounds; if it is gone all the same, nothing is within it.
        managed(state, arn).unwrap_or_else(|| AttachedPolicy { name: arn.clone(), document: nothing() })
    });
    CallerPolicies { identity: inline.chain(attached).collect(), boundary, session: Vec::new() }
}

fn managed(state: &State, arn: &str) -> Option<AttachedPolicy> {
    let version = state.policy(arn)?.in_force()?;
    Some(AttachedPolicy { name: arn.to_owned(), document: version.document.document().clone() })
}

/// A document that allows nothing.
fn nothing() -> Arc<Document> {
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
