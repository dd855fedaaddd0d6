//! A simulated decision, told to people and as JSON.

use std::fmt::Write as _;

use aws_wire::Caller;
use policy::{Basis, Considered, ContextKeys, Effect, Explanation, Fit, Part};
use serde::{Deserialize, Serialize};

/// One decision and all that it rests on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Simulated {
    /// Who called.
    caller: String,
    /// What was called.
    action: String,
    /// On what.
    resource: String,
    /// `allowed`, `explicitDeny` or `implicitDeny`.
    decision: String,
    /// Why.
    because: String,
    /// What became of each statement that was asked.
    statements: Vec<Weighed>,
    /// The grants that allow it.
    grants: Vec<String>,
    /// The condition keys that a statement about this call asks for and that the call says nothing of.
    missing: Vec<String>,
}

/// A statement.
#[derive(Debug, Serialize, Deserialize)]
struct Weighed {
    /// Where its policy hangs.
    policy_type: String,
    /// Its policy.
    policy: String,
    /// Its Sid, or its place: `#2`.
    statement: String,
    /// `Allow` or `Deny`.
    effect: String,
    /// Whether it is about this call.
    applies: bool,
    /// Whether the decision rests on it.
    decides: bool,
    /// Why it applies or not.
    why: String,
    /// Its conditions, where nothing else keeps it from applying.
    conditions: Vec<Held>,
}

/// A condition.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    /// Whether it holds.
    holds: bool,
    /// The condition, and what was compared.
    why: String,
}

impl Simulated {
    /// From an explanation.
    pub(crate) fn of(
        caller: &Caller,
        action: &str,
        resource: &str,
        explanation: &Explanation,
        grants: Vec<String>,
    ) -> Self {
        let Explanation { ruling, considered } = explanation;
        let denied = considered.iter().any(|one| one.applies(Effect::Deny));
        let decision = match ruling {
            Ok(_) => "allowed",
            Err(_) if denied => "explicitDeny",
            Err(_) => "implicitDeny",
        };
        let mut missing = ContextKeys::default();
        missing.add_all(considered.iter().flat_map(|one| &one.missing));
        let decides = |one: &Considered| match ruling {
            Err(_) => one.applies(Effect::Deny),
            Ok(Basis::Grant) => false,
            Ok(Basis::ResourcePolicy | Basis::Root) => one.applies(Effect::Allow) && one.part == Part::Resource,
            Ok(Basis::IdentityPolicy) => one.applies(Effect::Allow),
        };
        Self {
            caller: caller.service_principal().map_or_else(|| caller.arn.to_string(), str::to_owned),
            action: action.to_owned(),
            resource: resource.to_owned(),
            decision: decision.to_owned(),
            because: ruling.as_ref().map_or_else(ToString::to_string, ToString::to_string),
            statements: considered.iter().map(|one| Weighed::of(one, decides(one))).collect(),
            grants,
            missing: missing.into_names(),
        }
    }

    /// Whether it may be done.
    pub(crate) fn is_allowed(&self) -> bool {
        self.decision == "allowed"
    }

    /// For people.
    pub(crate) fn render(&self) -> String {
        let Self { caller, action, resource, decision, because, statements, grants, missing } = self;
        let mut text = format!("{decision}  {action}  on {resource}  by {caller}\n  because {because}\n");
        // Writing to a String cannot fail.
        for one in statements {
            let mark = if one.decides { "=>" } else { "  " };
            let Weighed { policy_type, policy, statement, effect, why, .. } = one;
            _ = writeln!(text, "  {mark} {effect} in {policy_type} {policy}, statement {statement}: {why}");
            for condition in &one.conditions {
                let mark = if condition.holds { "yes" } else { "no " };
                _ = writeln!(text, "       {mark} {}", condition.why);
            }
        }
        for grant in grants {
            _ = writeln!(text, "  => grant {grant} allows it");
        }
        if !missing.is_empty() {
            _ = writeln!(text, "  the call says nothing of {}; give --context KEY=VALUE", missing.join(", "));
        }
        text
    }
}

impl Weighed {
    fn of(one: &Considered, decides: bool) -> Self {
        let why = match &one.fit {
            // The conditions are listed, each with its reason.
            Fit::Condition(_) => "a condition does not hold".to_owned(),
            fit => fit.to_string(),
        };
        Self {
            policy_type: one.part.to_string(),
            policy: one.policy.clone(),
            statement: one.statement.clone(),
            effect: if one.effect == Effect::Allow { "Allow" } else { "Deny" }.to_owned(),
            applies: matches!(one.fit, Fit::Applies(_)),
            decides,
            why,
            conditions: one
                .conditions
                .iter()
                .map(|condition| Held { holds: condition.holds, why: condition.to_string() })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_wire::{Arn, CallerKind};
    use policy::{AttachedPolicy, CallerPolicies, Conditions, Document, Request, explain};

    use super::*;

    /// docs/operations.md, "May they, and why": the decision, the statement that decides, each condition, what is missing.
    #[test]
    fn a_decision_is_told_with_its_reasons() {
        let document = r#"{"Version":"2012-10-17","Statement":[
            {"Sid":"use","Effect":"Allow","Action":"kms:*","Resource":"*"},
            {"Effect":"Deny","Action":"kms:Decrypt","Resource":"*","Condition":{"StringNotEquals":{"aws:PrincipalTag/team":"blue"}}},
            {"Effect":"Deny","Action":"kms:Decrypt","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}"#;
        let policy = AttachedPolicy { name: "p".to_owned(), document: Arc::new(Document::parse(document).unwrap()) };
        let policies = CallerPolicies { identity: vec![policy], ..CallerPolicies::default() };
        let arn = Arn::new("iam", "", "000000000001", "user/mara");
        let caller = Caller { arn, kind: CallerKind::User, ..Caller::root("000000000001", None) };
        let resource = Arn::new("kms", "us-east-1", "000000000001", "key/1");
        let told = |team: &str| {
            let facts = Conditions::new().with("aws:PrincipalTag/team", team);
            let request = Request { caller: &caller, action: "kms:Decrypt", resource: &resource, conditions: &facts };
            let explanation = explain(&request, &policies, None, false);
            Simulated::of(&caller, "kms:Decrypt", "key", &explanation, Vec::new())
        };
        assert_eq!(
            told("red").render(),
            "explicitDeny  kms:Decrypt  on key  by arn:aws:iam::000000000001:user/mara\n  \
             because explicit deny in an identity-based policy p, statement #2\n     \
             Allow in identity-based policy p, statement use: applies\n  \
             => Deny in identity-based policy p, statement #2: applies\n       \
             yes StringNotEquals aws:PrincipalTag/team [blue] holds: aws:PrincipalTag/team is red\n     \
             Deny in identity-based policy p, statement #3: a condition does not hold\n       \
             no  Bool aws:SecureTransport [false] does not hold: the request has no aws:SecureTransport\n  \
             the call says nothing of aws:SecureTransport; give --context KEY=VALUE\n"
        );
        let allowed = told("blue");
        assert!(
            allowed.is_allowed() && allowed.render().contains("=> Allow in identity-based policy p, statement use")
        );
    }
}
