//! The policies that take part in a simulation: what they are called in its answer, and where their statements stand. IAM API,
//! SimulateCustomPolicy and SimulatePrincipalPolicy, `Statement`.

use std::sync::Arc;

use aws_wire::Arn;
use policy::{AttachedPolicy, CallerPolicies, Considered, ContextKeys, Document, Part, Span, statement_spans};

use crate::IdentityError;
use crate::attached::{self, Origin};
use crate::exclusion::Exclusion;
use crate::managed::ManagedPolicy;
use crate::policy_text::PolicyText;
use crate::principal::Principal;
use crate::state::State;

/// What the answer calls the policy that stands for every resource's own.
pub(crate) const RESOURCE_POLICY: &str = "ResourcePolicy";

/// One policy.
#[derive(Debug, Clone)]
pub(crate) struct Sourced {
    /// The name under which the evaluation speaks of it: no other of its part has it.
    pub(crate) name: String,
    /// `SourcePolicyId`.
    pub(crate) id: String,
    /// `SourcePolicyType`.
    pub(crate) kind: &'static str,
    /// Where its statements stand.
    pub(crate) spans: Vec<Span>,
    /// What it says.
    pub(crate) document: Arc<Document>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gathered {
    pub(crate) identity: Vec<Sourced>,
    pub(crate) boundary: Option<Sourced>,
    pub(crate) resource: Option<Sourced>,
}

impl Sourced {
    fn stored(origin: Origin<'_>, policy: &PolicyText) -> Self {
        let (id, kind) = match origin {
            Origin::Inline(principal, name) => (name.to_owned(), principal.kind().word()),
            Origin::Managed(managed) => (managed.name.clone(), managed_kind(managed)),
        };
        let (spans, document) = (statement_spans(policy.text()), policy.document().clone());
        Self { name: origin.name(), id, kind, spans, document }
    }

    /// A policy of the request itself.
    fn given(id: String, kind: &'static str, text: &str, policy: &PolicyText) -> Self {
        let (spans, document) = (statement_spans(text), policy.document().clone());
        Self { name: id.clone(), id, kind, spans, document }
    }

    fn attached(&self) -> AttachedPolicy {
        AttachedPolicy { name: self.name.clone(), document: Arc::clone(&self.document) }
    }
}

fn managed_kind(policy: &ManagedPolicy) -> &'static str {
    if policy.is_aws() { "aws-managed" } else { "user-managed" }
}

impl Gathered {
    /// What hangs on the user, group or role of this ARN, but what is excluded; none when there is no such one.
    pub(crate) fn of_arn(state: &State, arn: &Arn, excluded: &[Exclusion<'_>]) -> Option<Self> {
        let principal: &Principal = state.by_arn(arn)?;
        let stays = |origin: &Origin<'_>| !excluded.iter().any(|exclusion| exclusion.covers(*origin));
        let identity = attached::hanging(state, principal)
            .filter(|(origin, _)| stays(origin))
            .map(|(origin, policy)| Sourced::stored(origin, policy));
        let bound = principal.boundary.as_ref().filter(|_| !excluded.contains(&Exclusion::Boundary));
        let boundary = bound.map(|arn| match attached::in_force(state, arn) {
            Some((origin, policy)) => Sourced::stored(origin, policy),
            // A boundary that is gone lets nothing through, as it does when someone calls.
            None => Sourced {
                name: arn.clone(),
                id: arn.clone(),
                kind: "user-managed",
                spans: Vec::new(),
                document: attached::nothing(),
            },
        });
        Some(Self { identity: identity.collect(), boundary, resource: None })
    }

    /// Adds the policies of `PolicyInputList`.
    pub(crate) fn add(&mut self, texts: &[String]) -> Result<(), IdentityError> {
        self.identity.extend(identity_policies("PolicyInputList", texts)?);
        Ok(())
    }

    /// Puts the one policy of `PermissionsBoundaryPolicyInputList` in the place of a boundary that there may be.
    pub(crate) fn bound_by(&mut self, texts: Option<&[String]>) -> Result<(), IdentityError> {
        let mut given = identity_policies("PermissionsBoundaryPolicyInputList", texts.unwrap_or_default())?;
        if given.len() > 1 {
            let text =
                "PermissionsBoundaryPolicyInputList may have one policy: an identity has one permissions boundary.";
            return Err(IdentityError::InvalidInput(text.to_owned()));
        }
        self.boundary = given.pop().or(self.boundary.take());
        Ok(())
    }

    /// Puts the policy that each resource is to have.
    pub(crate) fn on_resources(&mut self, text: Option<&str>) -> Result<(), IdentityError> {
        let Some(text) = text else { return Ok(()) };
        let policy = parsed(RESOURCE_POLICY, PolicyText::try_from(text.to_owned()).map_err(IdentityError::from))?;
        if policy.document().statements.iter().any(|statement| statement.principals.is_none()) {
            let text = "ResourcePolicy is not valid: every statement of a resource-based policy has a Principal.";
            return Err(IdentityError::InvalidInput(text.to_owned()));
        }
        self.resource = Some(Sourced::given(RESOURCE_POLICY.to_owned(), "resource", text, &policy));
        Ok(())
    }

    /// As the evaluation takes them.
    pub(crate) fn policies(&self) -> CallerPolicies {
        CallerPolicies {
            identity: self.identity.iter().map(Sourced::attached).collect(),
            boundary: self.boundary.as_ref().map(Sourced::attached),
            session: Vec::new(),
        }
    }

    /// The policy that a statement is from.
    pub(crate) fn source_of(&self, considered: &Considered) -> Option<&Sourced> {
        match considered.part {
            Part::Identity => self.identity.iter().find(|policy| policy.name == considered.policy),
            Part::Boundary => self.boundary.as_ref(),
            Part::Resource => self.resource.as_ref(),
            Part::Session => None,
        }
    }

    /// The condition context keys of all of them.
    pub(crate) fn context_keys(&self) -> Vec<String> {
        let mut keys = ContextKeys::default();
        for policy in self.identity.iter().chain(&self.boundary).chain(&self.resource) {
            policy.document.context_keys(&mut keys);
        }
        keys.into_names()
    }
}

fn identity_policies(list: &str, texts: &[String]) -> Result<Vec<Sourced>, IdentityError> {
    let each = texts.iter().enumerate().map(|(at, text)| {
        let id = format!("{list}.{}", at + 1);
        let policy = parsed(&id, PolicyText::for_identity(text))?;
        Ok(Sourced::given(id, "none", text, &policy))
    });
    each.collect()
}

/// The simulator's pages know one error for what is wrong with an input, its policies too.
fn parsed(id: &str, policy: Result<PolicyText, IdentityError>) -> Result<PolicyText, IdentityError> {
    policy.map_err(|error| IdentityError::InvalidInput(format!("{id} is not valid: {error}")))
}
