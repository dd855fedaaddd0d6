//! What policies would come to, without doing anything. IAM API, SimulateCustomPolicy and SimulatePrincipalPolicy,
//! `EvaluationResult`, `ResourceSpecificResult`.

use std::fmt::Write as _;

use aws_wire::query::Xml;
use aws_wire::{Arn, CallContext, Caller, CallerKind, Session, Timestamp};
use policy::{CallerPolicies, Conditions, Document, FactType, Request, ResourcePolicy, Scope, explain};

use crate::gathered::{Gathered, RESOURCE_POLICY};
use crate::model::iam::{ContextEntry, ContextKeyTypeEnum};
use crate::outcome::Outcome;
use crate::page::Page;
use crate::{IdentityError, arn_template, attached};

/// At most so many statements are looked at in one call: actions times resources times statements. More would hold up others.
const STATEMENTS_MAX: usize = 200_000;

/// The resource that stands for all.
const EVERYTHING: &str = "*";

/// What is asked.
pub(crate) struct Asked<'a> {
    pub(crate) scope: &'static str,
    pub(crate) caller: Caller,
    pub(crate) gathered: Gathered,
    pub(crate) actions: &'a [String],
    pub(crate) resources: Option<&'a [String]>,
    pub(crate) owner: Option<&'a str>,
    pub(crate) handling: Option<&'a str>,
    pub(crate) context: Option<&'a [ContextEntry]>,
    pub(crate) marker: Option<&'a str>,
    pub(crate) items_max: Option<i32>,
}

/// A resource of the request.
struct Resource<'a> {
    text: &'a str,
    arn: Arn,
    /// The account that it belongs to.
    owner: String,
}

fn invalid(text: impl Into<String>) -> IdentityError {
    IdentityError::InvalidInput(text.into())
}

/// The simulated caller: the named one, or another where none is named. It need not exist.
pub(crate) fn caller(given: Option<&str>, otherwise: &Arn, cx: &CallContext) -> Result<Caller, IdentityError> {
    let arn = match given {
        None => otherwise.clone(),
        Some(text) => Arn::parse(text)
            .filter(|arn| arn.service == "iam" && matches!(arn.kind_and_id(), Some(("user" | "group" | "role", _))))
            .ok_or_else(|| invalid(format!("CallerArn {text} is not the ARN of an IAM user, group or role.")))?,
    };
    let account = if arn.account.is_empty() { cx.account.clone() } else { arn.account.clone() };
    let name = arn.resource.rsplit('/').next().unwrap_or_default().to_owned();
    let is_role = arn.service == "iam" && arn.resource.starts_with("role/");
    let plain = Caller { account: account.clone(), kind: CallerKind::User, ..Caller::root(&account, None) };
    if !is_role {
        return Ok(Caller { arn, ..plain });
    }
    // A role calls through its sessions: a policy that names the role names them.
    let session = Session {
        name: "simulation".to_owned(),
        issuer: arn,
        issuer_id: String::new(),
        created: Timestamp::default(),
        details: Default::default(),
    };
    let arn = Arn::new("sts", "", &account, format!("assumed-role/{name}/simulation"));
    Ok(Caller { arn, session: Some(session), kind: CallerKind::AssumedRole, ..plain })
}

/// The answer: one result for each action.
pub(crate) fn answer(asked: &Asked<'_>) -> Result<Vec<Xml>, IdentityError> {
    if let Some(option) = asked.handling {
        return Err(invalid(format!(
            "ResourceHandlingOption {option} is a scenario of Amazon EC2, which is not here; leave the parameter out."
        )));
    }
    for action in asked.actions {
        let named = action.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
        if !named || action.contains(['*', '?']) {
            return Err(invalid(format!(
                "Action {action} is not valid: it begins with the service, as in iam:CreateUser, and has no wildcards."
            )));
        }
    }
    let everything = [EVERYTHING.to_owned()];
    let listed = asked.resources.filter(|resources| !resources.is_empty()).unwrap_or(&everything);
    let owner = asked.owner.map(account_of).transpose()?;
    let resources = listed.iter().map(|text| resource(text, owner.as_deref(), &asked.caller));
    let resources: Vec<Resource<'_>> = resources.collect::<Result<_, _>>()?;
    check_applicable(asked, &resources)?;
    let Gathered { identity, boundary, resource } = &asked.gathered;
    let policies = identity.iter().chain(boundary).chain(resource);
    let statements: usize = policies.map(|policy| policy.document.statements.len()).sum();
    if asked.actions.len().saturating_mul(resources.len()).saturating_mul(statements.max(1)) > STATEMENTS_MAX {
        return Err(invalid("Too many actions, resources and statements in one simulation; ask for fewer at a time."));
    }
    let facts = facts(asked.context.unwrap_or_default())?;
    let policies = asked.gathered.policies();
    let items = asked.actions.iter().enumerate().map(|(at, action)| {
        let outcomes: Vec<(&str, Outcome)> = resources
            .iter()
            .map(|resource| (resource.text, decided(asked, &policies, action, resource, &facts)))
            .collect();
        (format!("{at:08}"), evaluated(action, &outcomes))
    });
    let page = Page { scope: asked.scope, marker: asked.marker, items_max: asked.items_max };
    page.of("EvaluationResults", items)
}

/// Decides one action on one resource, by the evaluation that decides every call.
fn decided(
    asked: &Asked<'_>,
    policies: &CallerPolicies,
    action: &str,
    resource: &Resource<'_>,
    facts: &Conditions,
) -> Outcome {
    let request = Request { caller: &asked.caller, action, resource: &resource.arn, conditions: facts };
    let foreign = resource.owner != asked.caller.account;
    let nothing = attached::nothing();
    let document: Option<&Document> = match &asked.gathered.resource {
        Some(policy) => Some(&policy.document),
        // Another account's resource without a policy is open to nobody from here.
        None => foreign.then_some(&*nothing),
    };
    let own = document.map(|document| ResourcePolicy { name: RESOURCE_POLICY, owner: &resource.owner, document });
    Outcome::of(&explain(&request, policies, own, false), &asked.gathered, foreign)
}

/// A result: the most restrictive decision over all resources, and each of them apart where some are named.
fn evaluated(action: &str, outcomes: &[(&str, Outcome)]) -> Xml {
    let all = Outcome::together(outcomes.iter().map(|(_, outcome)| outcome));
    let named = outcomes.iter().any(|(resource, _)| *resource != EVERYTHING);
    let template = if named { arn_template::of(action) } else { EVERYTHING };
    let mut members = vec![
        Xml::Text("EvalActionName", action.to_owned()),
        Xml::Text("EvalResourceName", template.to_owned()),
        Xml::Text("EvalDecision", all.decision.word().to_owned()),
    ];
    members.extend(all.members(named));
    if named {
        let each = outcomes.iter().map(|(resource, outcome)| {
            let mut members = vec![
                Xml::Text("EvalResourceName", (*resource).to_owned()),
                Xml::Text("EvalResourceDecision", outcome.decision.word().to_owned()),
            ];
            members.extend(outcome.members(false));
            Xml::Node("member", members)
        });
        members.push(Xml::Node("ResourceSpecificResults", each.collect()));
    }
    Xml::Node("member", members)
}

fn resource<'a>(text: &'a str, owner: Option<&str>, caller: &Caller) -> Result<Resource<'a>, IdentityError> {
    let arn = if text == EVERYTHING {
        // Only statements about all resources are about it.
        Some(Arn { partition: EVERYTHING.to_owned(), ..Arn::new(EVERYTHING, EVERYTHING, "", EVERYTHING) })
    } else {
        Arn::parse(text).or_else(|| with_wildcards(text))
    };
    let mut arn = arn.ok_or_else(|| invalid(format!("ResourceArns: {text} is neither an ARN nor *.")))?;
    let known = Some(arn.account.as_str()).filter(|account| is_account(account));
    let owner = known.or(owner).unwrap_or(&caller.account).to_owned();
    if arn.account.contains(['*', '?']) {
        // Any account's is the owner's: a resource has one.
        arn.account.clone_from(&owner);
    }
    Ok(Resource { text, arn, owner })
}

/// An ARN for several resources: `arn:aws:kms:*:*:key/*`.
fn with_wildcards(text: &str) -> Option<Arn> {
    let plain: String = text.splitn(6, ':').take(5).collect();
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [_, _, service, region, account, resource] = parts[..] else { return None };
    // The same rules hold for it as for others, wildcards aside.
    let starless = plain.replace(['*', '?'], "");
    let sound = starless.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let sound =
        sound && text.len() <= 2048 && text.starts_with("arn:aws:") && !service.is_empty() && !resource.is_empty();
    sound.then(|| Arn::new(service, region, account, resource))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `ResourceOwner`: an account, or the ARN of one.
fn account_of(text: &str) -> Result<String, IdentityError> {
    let root = || Arn::parse(text).filter(|arn| arn.service == "iam" && arn.resource == "root").map(|arn| arn.account);
    let account = if is_account(text) { Some(text.to_owned()) } else { root() };
    account.filter(|account| is_account(account)).ok_or_else(|| {
        invalid(format!("ResourceOwner {text} is not the ARN of an account, as in arn:aws:iam::112233445566:root."))
    })
}

/// The resource policy must be about every resource of the simulation.
fn check_applicable(asked: &Asked<'_>, resources: &[Resource<'_>]) -> Result<(), IdentityError> {
    let Some(policy) = &asked.gathered.resource else { return Ok(()) };
    // What a variable stands for is known only when someone calls.
    let fits = |pattern: &String, text: &str| pattern.contains("${") || policy::matches(pattern, text);
    for resource in resources.iter().filter(|resource| resource.text != EVERYTHING) {
        let about = policy.document.statements.iter().any(|statement| match &statement.resources {
            None => true,
            Some(Scope::Only(patterns)) => patterns.iter().any(|pattern| fits(pattern, resource.text)),
            Some(Scope::AllBut(patterns)) => !patterns.iter().any(|pattern| policy::matches(pattern, resource.text)),
        });
        if !about {
            return Err(invalid(format!("ResourcePolicy does not apply to the resource {}.", resource.text)));
        }
    }
    Ok(())
}

/// The facts of the simulated call: what the context entries say and nothing else.
fn facts(entries: &[ContextEntry]) -> Result<Conditions, IdentityError> {
    let mut facts = Conditions::new();
    for entry in entries {
        let Some(name) = &entry.context_key_name else { return Err(invalid("A context entry has no ContextKeyName.")) };
        let values = entry.context_key_values.as_deref().unwrap_or_default();
        let (kind, list) = fact_type(entry.context_key_type.unwrap_or(ContextKeyTypeEnum::StringList));
        if !list && values.len() > 1 {
            return Err(invalid(format!("Context key {name} has several values, and its ContextKeyType is no list.")));
        }
        if let Some(wrong) = values.iter().find(|value| !kind.fits(value)) {
            let mut text = format!("Context key {name}: {wrong:?} is no value of its ContextKeyType");
            // Writing to a String cannot fail.
            _ = entry.context_key_type.map(|kind| write!(text, " {}", kind.as_str()));
            return Err(invalid(text + "."));
        }
        facts = facts.with_all(name, values.iter().cloned());
    }
    Ok(facts)
}

fn fact_type(named: ContextKeyTypeEnum) -> (FactType, bool) {
    match named {
        ContextKeyTypeEnum::String => (FactType::Text, false),
        ContextKeyTypeEnum::StringList => (FactType::Text, true),
        ContextKeyTypeEnum::Numeric => (FactType::Number, false),
        ContextKeyTypeEnum::NumericList => (FactType::Number, true),
        ContextKeyTypeEnum::Boolean => (FactType::Bool, false),
        ContextKeyTypeEnum::BooleanList => (FactType::Bool, true),
        ContextKeyTypeEnum::Ip => (FactType::Ip, false),
        ContextKeyTypeEnum::IpList => (FactType::Ip, true),
        ContextKeyTypeEnum::Binary => (FactType::Binary, false),
        ContextKeyTypeEnum::BinaryList => (FactType::Binary, true),
        ContextKeyTypeEnum::Date => (FactType::Date, false),
        ContextKeyTypeEnum::DateList => (FactType::Date, true),
    }
}
