//! What one decision of a simulation looks like in its answer. IAM API, `EvaluationResult` and `ResourceSpecificResult`.

use aws_wire::query::Xml;
use policy::{Considered, ContextKeys, Effect, Explanation, Part, Position, Span};

use crate::gathered::Gathered;

/// The three decisions, the more restrictive the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decision {
    Allowed,
    ImplicitDeny,
    ExplicitDeny,
}

impl Decision {
    /// On the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ImplicitDeny => "implicitDeny",
            Self::ExplicitDeny => "explicitDeny",
        }
    }
}

/// A statement that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Matched {
    id: String,
    kind: &'static str,
    span: Option<Span>,
}

/// A decision and what it rests on.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) decision: Decision,
    matched: Vec<Matched>,
    missing: Vec<String>,
    /// Whether the permissions boundary allows, where there is one.
    within_boundary: Option<bool>,
    /// What the caller's policies and the resource's policy say, each for itself, where they belong to two accounts.
    sides: Option<(Decision, Decision)>,
}

impl Outcome {
    /// Reads an explanation. `foreign` says whether the resource is another account's.
    pub(crate) fn of(explanation: &Explanation, gathered: &Gathered, foreign: bool) -> Self {
        let considered = &explanation.considered;
        let denies = considered.iter().any(|one| one.applies(Effect::Deny));
        let decision = match &explanation.ruling {
            Ok(_) => Decision::Allowed,
            Err(_) if denies => Decision::ExplicitDeny,
            Err(_) => Decision::ImplicitDeny,
        };
        let decisive = match decision {
            Decision::Allowed => Some(Effect::Allow),
            Decision::ExplicitDeny => Some(Effect::Deny),
            Decision::ImplicitDeny => None,
        };
        let matched = considered.iter().filter(|one| decisive.is_some_and(|effect| one.applies(effect)));
        let mut missing = ContextKeys::default();
        missing.add_all(considered.iter().flat_map(|one| &one.missing));
        let boundary = || says(considered, |part| part == Part::Boundary) == Decision::Allowed;
        let sides = foreign.then(|| {
            let own = says(considered, |part| matches!(part, Part::Identity | Part::Session));
            let bound = gathered.boundary.as_ref().map(|_| says(considered, |part| part == Part::Boundary));
            (bound.map_or(own, |bound| bound.max(own)), says(considered, |part| part == Part::Resource))
        });
        Self {
            decision,
            matched: matched.filter_map(|one| matched_by(gathered, one)).collect(),
            missing: missing.into_names(),
            within_boundary: gathered.boundary.as_ref().map(|_| boundary()),
            sides,
        }
    }

    /// Several decisions of one action as one: the most restrictive, and all that they rest on.
    pub(crate) fn together<'a>(outcomes: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let decision = outcomes.clone().map(|one| one.decision).max().unwrap_or(Decision::ImplicitDeny);
        let mut matched: Vec<Matched> = Vec::new();
        let mut missing = ContextKeys::default();
        for one in outcomes.clone() {
            missing.add_all(&one.missing);
            // Only what contributed to the decision that is reported.
            for statement in one.matched.iter().filter(|_| one.decision == decision) {
                if !matched.contains(statement) {
                    matched.push(statement.clone());
                }
            }
        }
        let within_boundary = outcomes.clone().filter_map(|one| one.within_boundary).min();
        let sides = outcomes.filter_map(|one| one.sides).reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)));
        Self { decision, matched, missing: missing.into_names(), within_boundary, sides }
    }

    /// The members that a result for all resources and one for a single resource share. `details` says whether the
    /// details of a decision within one account are there, without content.
    pub(crate) fn members(&self, details: bool) -> Vec<Xml> {
        let missing = self.missing.iter().map(|name| Xml::Text("member", name.clone()));
        let mut members = vec![
            Xml::Node("MatchedStatements", self.matched.iter().map(Matched::xml).collect()),
            Xml::Node("MissingContextValues", missing.collect()),
        ];
        if let Some(allowed) = self.within_boundary {
            let detail = Xml::Text("AllowedByPermissionsBoundary", allowed.to_string());
            members.push(Xml::Node("PermissionsBoundaryDecisionDetail", vec![detail]));
        }
        let entry = |key: &str, decision: Decision| {
            let value = Xml::Text("value", decision.word().to_owned());
            Xml::Node("entry", vec![Xml::Text("key", key.to_owned()), value])
        };
        match self.sides {
            Some((own, resource)) => {
                let entries = vec![entry("IAM Policy", own), entry("Resource Policy", resource)];
                members.push(Xml::Node("EvalDecisionDetails", entries));
            }
            None if details => members.push(Xml::Node("EvalDecisionDetails", Vec::new())),
            None => {}
        }
        members
    }
}

/// What the statements of some parts come to, taken alone.
fn says(considered: &[Considered], wanted: impl Fn(Part) -> bool) -> Decision {
    let applies = |effect| considered.iter().any(|one| wanted(one.part) && one.applies(effect));
    if applies(Effect::Deny) {
        Decision::ExplicitDeny
    } else if applies(Effect::Allow) {
        Decision::Allowed
    } else {
        Decision::ImplicitDeny
    }
}

fn matched_by(gathered: &Gathered, considered: &Considered) -> Option<Matched> {
    let source = gathered.source_of(considered)?;
    let span = source.spans.get(considered.index).copied();
    Some(Matched { id: source.id.clone(), kind: source.kind, span })
}

impl Matched {
    fn xml(&self) -> Xml {
        let mut members =
            vec![Xml::Text("SourcePolicyId", self.id.clone()), Xml::Text("SourcePolicyType", self.kind.to_owned())];
        if let Some(Span { start, end }) = self.span {
            members.push(Xml::Node("StartPosition", position(start)));
            members.push(Xml::Node("EndPosition", position(end)));
        }
        Xml::Node("member", members)
    }
}

fn position(place: Position) -> Vec<Xml> {
    vec![Xml::Text("Line", place.line.to_string()), Xml::Text("Column", place.column.to_string())]
}
