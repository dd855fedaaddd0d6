//! What policies would come to, without doing anything. IAM API, SimulateCustomPolicy and SimulatePrincipalPolicy.

use aws_wire::query::Xml;
use aws_wire::{Arn, Caller};
use policy::{AttachedPolicy, CallerPolicies, Conditions, Document, Kind, Request, Verdict, evaluate};

use crate::IdentityError;
use crate::model::iam::ContextEntry;
use crate::page::Page;

/// At most so many decisions of one call: actions times resources.
const DECISIONS_MAX: usize = 10_000;

/// What is asked.
pub(crate) struct Asked<'a> {
    pub(crate) scope: &'static str,
    pub(crate) caller: &'a Caller,
    pub(crate) policies: CallerPolicies,
    pub(crate) resource_policy: Option<&'a str>,
    pub(crate) actions: &'a [String],
    pub(crate) resources: &'a [String],
    pub(crate) context: &'a [ContextEntry],
    pub(crate) marker: Option<&'a str>,
    pub(crate) items_max: Option<i32>,
}

/// Documents given in a request, named by their place in it.
pub(crate) fn given(list: &'static str, texts: &[String]) -> Result<Vec<AttachedPolicy>, IdentityError> {
    let named = texts.iter().enumerate().map(|(at, text)| {
        let document = std::sync::Arc::new(Document::parse(text)?);
        Ok(AttachedPolicy { name: format!("{list}.{}", at + 1), document })
    });
    named.collect()
}

/// The decisions, one for each action and resource.
pub(crate) fn answer(asked: &Asked<'_>) -> Result<Vec<Xml>, IdentityError> {
    let everything = ["*".to_owned()];
    let resources = if asked.resources.is_empty() { &everything[..] } else { asked.resources };
    if asked.actions.len().saturating_mul(resources.len()) > DECISIONS_MAX {
        return Err(IdentityError::InvalidInput("Too many actions and resources in one simulation.".to_owned()));
    }
    let mut facts = Conditions::new();
    for entry in asked.context {
        for value in entry.context_key_values.iter().flatten() {
            facts = facts.with(entry.context_key_name.as_deref().unwrap_or_default(), value.clone());
        }
    }
    let resource_policy = asked.resource_policy.map(Document::parse).transpose()?;
    let mut items = Vec::new();
    for action in asked.actions {
        for resource in resources {
            // A star stands for any resource: only statements about all of them match it.
            let arn = Arn::parse(resource).unwrap_or_else(|| Arn::new("*", "*", "*", "*"));
            let request = Request { caller: asked.caller, action, resource: &arn, conditions: &facts };
            let (decision, matched) = decide(&asked.policies, resource_policy.as_ref(), &request);
            let key = format!("{:08}", items.len());
            items.push((key, evaluated(action, resource, decision, matched)));
        }
    }
    let page = Page { scope: asked.scope, marker: asked.marker, items_max: asked.items_max };
    page.of("EvaluationResults", items.into_iter())
}

fn evaluated(action: &str, resource: &str, decision: &str, matched: Vec<String>) -> Xml {
    let statement = |name: String| Xml::Node("member", vec![Xml::Text("SourcePolicyId", name)]);
    let members = vec![
        Xml::Text("EvalActionName", action.to_owned()),
        Xml::Text("EvalResourceName", resource.to_owned()),
        Xml::Text("EvalDecision", decision.to_owned()),
        Xml::Node("MatchedStatements", matched.into_iter().map(statement).collect()),
        Xml::Node("MissingContextValues", Vec::new()),
    ];
    Xml::Node("member", members)
}

/// The decision and the policies that spoke for it.
fn decide(
    policies: &CallerPolicies,
    resource_policy: Option<&Document>,
    request: &Request<'_>,
) -> (&'static str, Vec<String>) {
    let say = |policy: &AttachedPolicy| evaluate(&policy.document, Kind::Identity, request);
    let resource = resource_policy.map_or(Verdict::Silent, |document| evaluate(document, Kind::Resource, request));
    let CallerPolicies { identity, boundary, session } = policies;
    let all = || identity.iter().chain(boundary).chain(session);
    let names = |wanted: fn(&Verdict) -> bool| {
        let own = all().filter(|policy| wanted(&say(policy))).map(|policy| policy.name.clone());
        let of_resource = wanted(&resource).then(|| "ResourcePolicy".to_owned());
        own.chain(of_resource).collect::<Vec<_>>()
    };
    let denying = names(|verdict| matches!(verdict, Verdict::Denies(_)));
    if !denying.is_empty() {
        return ("explicitDeny", denying);
    }
    let allows = |policy: &AttachedPolicy| say(policy) == Verdict::Allows;
    let permitted = identity.iter().any(allows)
        && boundary.iter().all(allows)
        && (session.is_empty() || session.iter().any(allows));
    if permitted || resource == Verdict::Allows {
        return ("allowed", names(|verdict| *verdict == Verdict::Allows));
    }
    ("implicitDeny", Vec::new())
}
