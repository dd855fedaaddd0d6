//! The evaluator against a second one, written from the guide's flow chart over the plain JSON: slow, and obvious.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may panic")]

use std::sync::Arc;

use aws_wire::{Arn, Caller, CallerKind, Session, Timestamp};
use policy::{AttachedPolicy, CallerPolicies, Conditions, Document, Request, ResourcePolicy, decide};
use proptest::prelude::*;
use serde_json::{Value, json};

const HOME: &str = "000000000001";
const AWAY: &str = "000000000002";

/// Someone who calls, and the words by which a policy may name them.
#[derive(Clone, Copy, Debug)]
enum Who {
    Root(&'static str),
    User(&'static str),
    Session(&'static str),
    Service,
}

impl Who {
    fn caller(self) -> Caller {
        match self {
            Self::Root(account) => Caller::root(account, None),
            Self::User(account) => Caller {
                arn: Arn::new("iam", "", account, "user/mara"),
                user_name: Some("mara".to_owned()),
                kind: CallerKind::User,
                ..Caller::root(account, None)
            },
            Self::Session(account) => Caller {
                arn: Arn::new("sts", "", account, "assumed-role/ci/job"),
                session: Some(Session {
                    name: "job".to_owned(),
                    issuer: Arn::new("iam", "", account, "role/ci"),
                    issuer_id: "AROA".to_owned(),
                    created: Timestamp::default(),
                    details: Default::default(),
                }),
                kind: CallerKind::AssumedRole,
                ..Caller::root(account, None)
            },
            Self::Service => Caller::service(HOME, "files.amazonaws.com"),
        }
    }

    fn account(self) -> &'static str {
        match self {
            Self::Root(account) | Self::User(account) | Self::Session(account) => account,
            Self::Service => HOME,
        }
    }

    /// Whether a principal element's string names this caller itself (not through the account).
    fn is_named(self, name: &str) -> bool {
        match self {
            Self::Root(_) => false,
            Self::User(account) => name == format!("arn:aws:iam::{account}:user/mara"),
            Self::Session(account) => name == format!("arn:aws:sts::{account}:assumed-role/ci/job"),
            Self::Service => false,
        }
    }

    fn role_is_named(self, name: &str) -> bool {
        matches!(self, Self::Session(account) if name == format!("arn:aws:iam::{account}:role/ci"))
    }

    fn account_is_named(self, name: &str) -> bool {
        !matches!(self, Self::Service) && name == format!("arn:aws:iam::{}:root", self.account())
    }
}

/// The strings of an element that may be one or many.
fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map_or_else(|| vec![value.as_str().unwrap()], |all| all.iter().map(|one| one.as_str().unwrap()).collect())
}

fn star(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => pattern == text,
    }
}

/// 0: not named, 1: by account, 2: by role, 3: by name.
fn how_named(statement: &Value, who: Who) -> u8 {
    let how = |principal: &Value| {
        if principal == "*" {
            return 3;
        }
        if let Some(services) = principal.get("Service")
            && matches!(who, Who::Service)
            && strings(services).contains(&"files.amazonaws.com")
        {
            return 3;
        }
        let mut most = 0;
        for name in principal.get("AWS").map(strings).unwrap_or_default() {
            if name == "*" || who.is_named(name) {
                most = most.max(3);
            } else if who.role_is_named(name) {
                most = most.max(2);
            } else if who.account_is_named(name) {
                most = most.max(1);
            }
        }
        most
    };
    if let Some(principal) = statement.get("Principal") {
        return how(principal);
    }
    let exempt = match how(&statement["NotPrincipal"]) {
        0 => false,
        1 => matches!(who, Who::Root(_)),
        _ => true,
    };
    if exempt { 0 } else { 3 }
}

fn conditions_hold(statement: &Value, secure: &str, tag: Option<&str>) -> bool {
    let Some(condition) = statement.get("Condition") else { return true };
    for (operator, keys) in condition.as_object().unwrap() {
        for (key, wanted) in keys.as_object().unwrap() {
            let fact = if key == "aws:SecureTransport" { Some(secure) } else { tag };
            let wanted = strings(wanted);
            let holds = match (operator.as_str(), fact) {
                ("Null", fact) => wanted.contains(&if fact.is_none() { "true" } else { "false" }),
                ("Bool" | "StringEquals", Some(fact)) => wanted.contains(&fact),
                ("StringNotEquals", Some(fact)) => !wanted.contains(&fact),
                ("StringLike", Some(fact)) => wanted.iter().any(|wanted| star(wanted, fact)),
                ("StringEqualsIfExists", fact) => fact.is_none_or(|fact| wanted.contains(&fact)),
                ("StringNotEquals", None) => true,
                (_, None) => false,
                other => panic!("{other:?}"),
            };
            if !holds {
                return false;
            }
        }
    }
    true
}

/// What the statements of one document do: whether one denies, and how closely one that allows names the caller.
fn verdict(
    document: &Value,
    resource_side: bool,
    who: Who,
    action: &str,
    secure: &str,
    tag: Option<&str>,
) -> (bool, u8) {
    let (mut denies, mut allows) = (false, 0);
    for statement in document["Statement"].as_array().unwrap() {
        let named = if resource_side { how_named(statement, who) } else { 3 };
        let action_fits = match statement.get("Action") {
            Some(actions) => strings(actions).iter().any(|pattern| star(pattern, action)),
            None => !strings(&statement["NotAction"]).iter().any(|pattern| star(pattern, action)),
        };
        if named == 0 || !action_fits || !conditions_hold(statement, secure, tag) {
            continue;
        }
        if statement["Effect"] == "Deny" {
            denies = true;
        } else {
            allows = allows.max(named);
        }
    }
    (denies, allows)
}

#[derive(Clone, Debug)]
struct Case {
    who: Who,
    action: &'static str,
    secure: &'static str,
    tag: Option<&'static str>,
    resource: Option<Value>,
    identity: Vec<Value>,
    boundary: Option<Value>,
    session: Vec<Value>,
    granted: bool,
}

/// The flow chart, box by box.
fn naively(case: &Case) -> bool {
    let ask = |document: &Value, resource_side| {
        verdict(document, resource_side, case.who, case.action, case.secure, case.tag)
    };
    let own = case.resource.as_ref().map(|document| ask(document, true));
    let all = |documents: &[Value]| documents.iter().map(|document| ask(document, false)).collect::<Vec<_>>();
    let (identity, session) = (all(&case.identity), all(&case.session));
    let boundary = case.boundary.as_ref().map(|document| ask(document, false));
    if own.iter().chain(&identity).chain(&session).chain(&boundary).any(|(denies, _)| *denies) {
        return false;
    }
    if case.granted {
        return true;
    }
    let inside_limits = boundary.is_none_or(|(_, allows)| allows > 0)
        && (session.is_empty() || session.iter().any(|(_, allows)| *allows > 0));
    let identity_allows = match case.who {
        Who::Root(_) => true,
        Who::Service => false,
        Who::User(_) | Who::Session(_) => identity.iter().any(|(_, allows)| *allows > 0) && inside_limits,
    };
    let at_home = case.who.account() == HOME;
    match own.map(|(_, allows)| allows) {
        None => at_home && identity_allows,
        Some(0) => false,
        Some(_) if !at_home => identity_allows,
        Some(1) => identity_allows,
        Some(2) => inside_limits,
        Some(_) => true,
    }
}

fn really(case: &Case) -> bool {
    let caller = case.who.caller();
    let attached = |document: &Value| AttachedPolicy {
        name: "p".to_owned(),
        document: Arc::new(Document::parse(&document.to_string()).unwrap()),
    };
    let policies = CallerPolicies {
        identity: case.identity.iter().map(attached).collect(),
        boundary: case.boundary.as_ref().map(attached),
        session: case.session.iter().map(attached).collect(),
    };
    let facts = Conditions::new().with("aws:SecureTransport", case.secure).with_all("aws:PrincipalTag/team", case.tag);
    let resource = Arn::new("kms", "us-east-1", HOME, "key/k");
    let request = Request { caller: &caller, action: case.action, resource: &resource, conditions: &facts };
    let own = case.resource.as_ref().map(|document| Document::parse(&document.to_string()).unwrap());
    let own = own.as_ref().map(|document| ResourcePolicy { name: "key", owner: HOME, document });
    decide(&request, &policies, own, case.granted).is_ok()
}

fn one_or_many(words: Vec<&'static str>) -> Value {
    if let [one] = words.as_slice() { json!(one) } else { json!(words) }
}

fn actions() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec!["kms:Decrypt", "kms:Encrypt", "kms:*", "kms:De*", "*"]);
    prop::collection::vec(word, 1..3).prop_map(one_or_many)
}

fn principals() -> impl Strategy<Value = Value> {
    let names = vec![
        "arn:aws:iam::000000000001:root",
        "arn:aws:iam::000000000002:root",
        "arn:aws:iam::000000000001:user/mara",
        "arn:aws:iam::000000000002:user/mara",
        "arn:aws:iam::000000000001:role/ci",
        "arn:aws:sts::000000000001:assumed-role/ci/job",
        "arn:aws:iam::000000000001:user/other",
    ];
    prop_oneof![
        1 => Just(json!("*")),
        1 => Just(json!({"AWS": "*"})),
        1 => Just(json!({"Service": "files.amazonaws.com"})),
        5 => prop::collection::vec(prop::sample::select(names), 1..4).prop_map(|names| json!({"AWS": one_or_many(names)})),
    ]
}

fn condition() -> impl Strategy<Value = Option<Value>> {
    let team = |operator: &'static str| {
        prop::collection::vec(prop::sample::select(vec!["blue", "red"]), 1..3)
            .prop_map(move |values| json!({operator: {"aws:PrincipalTag/team": one_or_many(values)}}))
    };
    prop::option::weighted(
        0.4,
        prop_oneof![
            Just(json!({"Bool": {"aws:SecureTransport": "true"}})),
            Just(json!({"Bool": {"aws:SecureTransport": "false"}})),
            Just(json!({"StringLike": {"aws:PrincipalTag/team": "bl*"}})),
            Just(json!({"Null": {"aws:PrincipalTag/team": "true"}})),
            Just(json!({"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"aws:PrincipalTag/team": "blue"}})),
            team("StringEquals"),
            team("StringNotEquals"),
            team("StringEqualsIfExists"),
        ],
    )
}

fn document(resource_side: bool) -> impl Strategy<Value = Value> {
    let effect = prop_oneof![4 => Just("Allow"), 1 => Just("Deny")];
    let flag = || prop::bool::weighted(0.15);
    let statement = (effect, flag(), actions(), flag(), principals(), condition()).prop_map(
        move |(effect, not_action, actions, not_principal, principals, condition)| {
            let mut statement = json!({"Effect": effect, "Resource": "*"});
            statement[if not_action { "NotAction" } else { "Action" }] = actions;
            if resource_side {
                statement[if not_principal { "NotPrincipal" } else { "Principal" }] = principals;
            }
            if let Some(condition) = condition {
                statement["Condition"] = condition;
            }
            statement
        },
    );
    prop::collection::vec(statement, 1..4)
        .prop_map(|statements| json!({"Version": "2012-10-17", "Statement": statements}))
}

fn case() -> impl Strategy<Value = Case> {
    let who = prop::sample::select(vec![
        Who::Root(HOME),
        Who::Root(AWAY),
        Who::User(HOME),
        Who::User(AWAY),
        Who::Session(HOME),
        Who::Session(AWAY),
        Who::Service,
    ]);
    (
        who,
        prop::sample::select(vec!["kms:Decrypt", "kms:Encrypt"]),
        prop::sample::select(vec!["true", "false"]),
        prop::sample::select(vec![None, Some("blue"), Some("green")]),
        prop::option::weighted(0.8, document(true)),
        prop::collection::vec(document(false), 0..3),
        prop::option::weighted(0.2, document(false)),
        prop::collection::vec(document(false), 0..2),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(who, action, secure, tag, resource, identity, boundary, session, granted)| Case {
            who,
            action,
            secure,
            tag,
            resource,
            identity,
            boundary,
            session,
            granted,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// IAM User Guide, "Policy evaluation logic" and "Cross-account policy evaluation logic".
    #[test]
    fn both_evaluators_agree(case in case()) {
        prop_assert_eq!(really(&case), naively(&case));
    }
}
