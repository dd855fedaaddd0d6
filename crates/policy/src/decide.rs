//! From all that hangs on a caller and on a resource to one ruling. IAM User Guide, "Policy evaluation logic" and "Cross-account
//! policy evaluation logic"; KMS developer guide, "Key policies": a key's policy decides, and delegates only where it says so.

use std::fmt;

use aws_wire::CallerKind;

use crate::checked::Checked;
use crate::document::{Document, Effect, Statement};
use crate::evaluate::{Fit, Kind, Named, Said, said};
use crate::{AttachedPolicy, CallerPolicies, ContextKeys, Request};

/// The policy of a resource.
#[derive(Debug, Clone, Copy)]
pub struct ResourcePolicy<'a> {
    /// What to call it in an explanation.
    pub name: &'a str,
    /// The account that the resource belongs to.
    pub owner: &'a str,
    /// What it says.
    pub document: &'a Document,
}

/// Where a policy hangs, as denials name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// On the resource.
    Resource,
    /// On the identity or one of its groups.
    Identity,
    /// The identity's permissions boundary.
    Boundary,
    /// On the session.
    Session,
}

/// Why something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The resource's policy names the caller.
    ResourcePolicy,
    /// The caller's own policies, where the resource's policy leaves it to them.
    IdentityPolicy,
    /// The account's root, where the resource's policy leaves it to the account.
    Root,
    /// A grant.
    Grant,
}

/// Why something may not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A statement denies it.
    Explicit {
        /// Where the policy hangs.
        part: Part,
        /// The policy's name.
        policy: String,
        /// The statement's Sid, or its place: `#2`.
        statement: String,
    },
    /// Nothing of this kind allows it.
    Missing(Part),
}

/// What became of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// Where its policy hangs.
    pub part: Part,
    /// Its policy's name.
    pub policy: String,
    /// Its Sid, or its place: `#2`.
    pub statement: String,
    /// Its place in the document, from zero.
    pub index: usize,
    /// What it does where it applies.
    pub effect: Effect,
    /// Whether it applies, or what keeps it from that.
    pub fit: Fit,
    /// Its conditions, where it is about this caller, action and resource.
    pub conditions: Vec<Checked>,
    /// The keys that it asks for and that the request says nothing of.
    pub missing: Vec<String>,
}

impl Considered {
    /// Whether it is about this request and has this effect.
    pub fn applies(&self, effect: Effect) -> bool {
        self.effect == effect && matches!(self.fit, Fit::Applies(_))
    }
}

/// A ruling and all that it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// May it be done?
    pub ruling: Result<Basis, Refusal>,
    /// Every statement of every policy that was asked.
    pub considered: Vec<Considered>,
}

/// Decides a request. `granted` says whether a grant allows it.
///
/// # Errors
/// The first thing in the way, an explicit denial before anything that is missing.
pub fn decide(
    request: &Request<'_>,
    policies: &CallerPolicies,
    resource: Option<ResourcePolicy<'_>>,
    granted: bool,
) -> Result<Basis, Refusal> {
    rule(request, policies, resource, granted, &mut None)
}

/// Decides a request and tells what became of each statement.
pub fn explain(
    request: &Request<'_>,
    policies: &CallerPolicies,
    resource: Option<ResourcePolicy<'_>>,
    granted: bool,
) -> Explanation {
    let mut considered = Some(Vec::new());
    let ruling = rule(request, policies, resource, granted, &mut considered);
    Explanation { ruling, considered: considered.unwrap_or_default() }
}

type Witness = Option<Vec<Considered>>;

fn rule(
    request: &Request<'_>,
    policies: &CallerPolicies,
    resource: Option<ResourcePolicy<'_>>,
    granted: bool,
    witness: &mut Witness,
) -> Result<Basis, Refusal> {
    let caller = request.caller;
    let own =
        resource.map(|policy| ask(Part::Resource, Kind::Resource, policy.name, policy.document, request, witness));
    let mut side = |part, policies: &[AttachedPolicy]| {
        let each =
            policies.iter().map(|policy| ask(part, Kind::Identity, &policy.name, &policy.document, request, witness));
        each.reduce(Answer::and).unwrap_or_default()
    };
    let identity = side(Part::Identity, &policies.identity);
    let boundary = side(Part::Boundary, policies.boundary.as_slice());
    let session = side(Part::Session, &policies.session);
    let denial = [own.as_ref(), Some(&identity), Some(&boundary), Some(&session)];
    if let Some(refusal) = denial.into_iter().flatten().find_map(|answer| answer.denial.clone()) {
        return Err(refusal);
    }

    let limits = if policies.boundary.is_some() && boundary.allows.is_none() {
        Err(Refusal::Missing(Part::Boundary))
    } else if !policies.session.is_empty() && session.allows.is_none() {
        Err(Refusal::Missing(Part::Session))
    } else {
        Ok(())
    };
    let by_identity = match (&caller.kind, identity.allows) {
        (CallerKind::Root, _) => Ok(Basis::Root),
        (CallerKind::User | CallerKind::AssumedRole, Some(_)) => limits.clone().map(|()| Basis::IdentityPolicy),
        _ => Err(Refusal::Missing(Part::Identity)),
    };
    if granted {
        return Ok(Basis::Grant);
    }
    let owner = resource.map_or(request.resource.account.as_str(), |policy| policy.owner);
    // A resource without an account (`arn:aws:iam:::...`) belongs to whoever asks, and AWS's own (`arn:aws:iam::aws:policy/...`)
    // to everybody.
    let at_home = matches!(owner, "" | "aws") || owner == caller.account;
    match (own, at_home) {
        (None, true) => by_identity,
        (None, false) => Err(Refusal::Missing(Part::Resource)),
        (Some(own), at_home) => match own.allows {
            None => Err(Refusal::Missing(Part::Resource)),
            Some(Named::Account) => by_identity,
            Some(_) if !at_home && !matches!(caller.kind, CallerKind::Service(_) | CallerKind::Anonymous) => {
                by_identity
            }
            // What limits a role limits its sessions too where the policy names only the role.
            Some(Named::Role) => limits.map(|()| Basis::ResourcePolicy),
            Some(Named::Caller) => Ok(Basis::ResourcePolicy),
        },
    }
}

/// What the policies of one kind say.
#[derive(Debug, Clone, Default)]
struct Answer {
    denial: Option<Refusal>,
    allows: Option<Named>,
}

impl Answer {
    fn and(self, other: Self) -> Self {
        Self { denial: self.denial.or(other.denial), allows: self.allows.max(other.allows) }
    }
}

fn ask(
    part: Part,
    kind: Kind,
    name: &str,
    document: &Document,
    request: &Request<'_>,
    witness: &mut Witness,
) -> Answer {
    let Said { denies, allows } = said(document, kind, request, |at, statement, fit| {
        if let Some(considered) = witness {
            considered.push(consider(part, name, (document, at), statement, fit, request));
        }
    });
    let denial = denies.map(|at| Refusal::Explicit { part, policy: name.to_owned(), statement: place(document, at) });
    Answer { denial, allows: allows.map(|(_, named)| named) }
}

/// Tells what became of a statement.
fn consider(
    part: Part,
    policy: &str,
    (document, at): (&Document, usize),
    statement: &Statement,
    fit: Fit,
    request: &Request<'_>,
) -> Considered {
    let facts = request.conditions;
    let conditions: Vec<Checked> = match &fit {
        Fit::Applies(_) | Fit::Condition(_) => statement.conditions.iter().map(|one| one.check(facts)).collect(),
        Fit::OtherPrincipal | Fit::OtherAction | Fit::OtherResource => Vec::new(),
    };
    let mut missing = ContextKeys::default();
    if !matches!(fit, Fit::OtherPrincipal | Fit::OtherAction) {
        let variables = statement.resource_variables().filter(|name| facts.values(name).is_empty());
        variables.for_each(|name| missing.add(name));
    }
    missing.add_all(conditions.iter().flat_map(|condition| &condition.missing));
    Considered {
        part,
        policy: policy.to_owned(),
        statement: place(document, at),
        index: at,
        effect: statement.effect,
        fit,
        conditions,
        missing: missing.into_names(),
    }
}

fn place(document: &Document, at: usize) -> String {
    let sid = document.statements.get(at).and_then(|statement| statement.sid.clone());
    sid.unwrap_or_else(|| format!("#{}", at + 1))
}

impl Part {
    /// As AWS's denials name it, with its article.
    fn spoken(self) -> &'static str {
        match self {
            Self::Resource => "a resource-based policy",
            Self::Identity => "an identity-based policy",
            Self::Boundary => "a permissions boundary",
            Self::Session => "a session policy",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Resource => "resource-based policy",
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
        })
    }
}

impl Refusal {
    /// The end of AWS's denial: `because no identity-based policy allows the kms:Decrypt action`. IAM User Guide, "Access
    /// denied error messages".
    pub fn because(&self, action: &str) -> String {
        match self {
            Self::Explicit { part, .. } => format!("with an explicit deny in {}", part.spoken()),
            Self::Missing(part) => format!("because no {part} allows the {action} action"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Explicit { part, policy, statement } => {
                write!(formatter, "explicit deny in {} {policy}, statement {statement}", part.spoken())
            }
            Self::Missing(part) => write!(formatter, "no {part} allows it"),
        }
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ResourcePolicy => "the resource-based policy allows the caller",
            Self::IdentityPolicy => "an identity-based policy allows it",
            Self::Root => "the account's root may do everything that is left to the account",
            Self::Grant => "a grant allows it",
        })
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applies(_) => formatter.write_str("applies"),
            Self::OtherPrincipal => formatter.write_str("is about other principals"),
            Self::OtherAction => formatter.write_str("is about other actions"),
            Self::OtherResource => formatter.write_str("is about other resources"),
            Self::Condition(condition) => write!(formatter, "its condition does not hold: {condition}"),
        }
    }
}
