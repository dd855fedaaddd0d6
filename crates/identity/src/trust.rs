//! Who may assume a role: its trust policy. IAM User Guide, "How to use trust policies with IAM roles".
//!
//! A trust policy names three sorts of principals. Accounts only hand the decision on to that account's own policies;
//! users, roles and services are trusted themselves; a federated provider stands for those whom it vouches for. The
//! evaluator is asked about each sort apart, with a document that has only that sort in it.

use std::sync::Arc;

use aws_wire::{Arn, Caller};
use policy::{Conditions, Document, Kind, Malformed, Request, Verdict, evaluate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::IdentityError;
use crate::policy_text::{characters, malformed};
use crate::quota;

/// A trust policy. Stored as its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TrustPolicy {
    text: Arc<str>,
    value: Arc<Value>,
    /// What it says of AWS principals and services.
    named: Option<Arc<Document>>,
    /// The same without what only names an account.
    direct: Option<Arc<Document>>,
}

/// What a trust policy says of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A statement denies.
    Denied,
    /// It does not speak of the caller.
    Silent,
    /// It trusts the caller's account, whose own policies decide.
    Account,
    /// It trusts the caller.
    Caller,
}

/// What is asked of a trust policy.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    /// `sts:AssumeRole` and its kin.
    pub(crate) action: &'a str,
    /// The role.
    pub(crate) role: &'a Arn,
    /// The facts of the call.
    pub(crate) conditions: &'a Conditions,
}

impl TrustPolicy {
    /// A document as it may hang on a role.
    pub(crate) fn parse(text: &str) -> Result<Self, IdentityError> {
        let value: Result<Value, _> = serde_json::from_str(text);
        let Some(value) = value.ok().filter(Value::is_object) else {
            return Err(malformed("This policy contains invalid Json"));
        };
        for statement in statements(&value) {
            if ["Resource", "NotResource"].iter().any(|field| statement.get(*field).is_some()) {
                return Err(malformed("Has prohibited field Resource"));
            }
            if statement.get("Principal").or_else(|| statement.get("NotPrincipal")).is_none() {
                return Err(malformed("Missing required field Principal"));
            }
            if !texts(statement.get("Action")).all(|action| action.to_ascii_lowercase().starts_with("sts:")) {
                return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
            }
        }
        if characters(text) > quota::TRUST_CHARACTERS {
            let text = format!("Cannot exceed quota for ACLSizePerRole: {}", quota::TRUST_CHARACTERS);
            return Err(IdentityError::LimitExceeded(text));
        }
        Ok(Self::try_from(text.to_owned())?)
    }

    /// The text, as it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Every AWS principal that it names.
    pub(crate) fn aws_principals(&self) -> Vec<String> {
        let mut found = Vec::new();
        for statement in statements(&self.value) {
            for field in ["Principal", "NotPrincipal"] {
                let names = statement.get(field).and_then(|principal| principal.get("AWS"));
                found.extend(texts(names).map(str::to_owned));
            }
        }
        found
    }

    /// What it says of a caller that signed.
    pub(crate) fn of_caller(&self, caller: &Caller, question: Question<'_>) -> Trust {
        // A role's ARN stands for its sessions, too.
        let role = caller.session.as_ref().filter(|session| session.issuer.resource.starts_with("role/"));
        let as_role = role.map(|session| Caller { arn: session.issuer.clone(), ..caller.clone() });
        let callers: Vec<&Caller> = std::iter::once(caller).chain(as_role.as_ref()).collect();
        let say = |document: &Option<Arc<Document>>| {
            let document = document.as_ref()?;
            let verdicts: Vec<Verdict> = callers.iter().map(|caller| judge(document, caller, question)).collect();
            Some(verdicts)
        };
        let named = say(&self.named).unwrap_or_default();
        if named.iter().any(|verdict| matches!(verdict, Verdict::Denies(_))) {
            return Trust::Denied;
        }
        if say(&self.direct).unwrap_or_default().contains(&Verdict::Allows) {
            return Trust::Caller;
        }
        if named.contains(&Verdict::Allows) { Trust::Account } else { Trust::Silent }
    }

    /// What it says of those whom a federated provider vouches for.
    pub(crate) fn of_provider(&self, provider: &Arn, caller: &Caller, question: Question<'_>) -> Trust {
        let provider = provider.to_string();
        let Ok(Some(document)) = reduced(&self.value, |statement| federated(statement, &provider)) else {
            return Trust::Silent;
        };
        match judge(&document, caller, question) {
            Verdict::Denies(_) => Trust::Denied,
            Verdict::Allows => Trust::Caller,
            Verdict::Silent => Trust::Silent,
        }
    }
}

fn judge(document: &Document, caller: &Caller, question: Question<'_>) -> Verdict {
    let Question { action, role, conditions } = question;
    evaluate(document, Kind::Resource, &Request { caller, action, resource: role, conditions })
}

impl TryFrom<String> for TrustPolicy {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        let value: Value =
            serde_json::from_str(&text).map_err(|_| Malformed("The policy is not valid JSON.".to_owned()))?;
        let named = reduced(&value, without_federated)?.map(Arc::new);
        let direct = reduced(&value, |statement| without_accounts(&without_federated(statement)?))?.map(Arc::new);
        // What no sort of principal keeps still has to be sound: everybody stands in for whoever was named.
        reduced(&value, |statement| Some(for_everybody(statement)))?;
        Ok(Self { text: text.into(), value: Arc::new(value), named, direct })
    }
}

impl From<TrustPolicy> for String {
    fn from(trust: TrustPolicy) -> Self {
        trust.text.to_string()
    }
}

/// The statements, of which a single one may stand without a list.
fn statements(value: &Value) -> impl Iterator<Item = &Value> {
    match value.get("Statement") {
        Some(Value::Array(items)) => items.iter().collect::<Vec<_>>(),
        Some(single) => vec![single],
        None => Vec::new(),
    }
    .into_iter()
}

/// A text or a list of texts.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let items: Vec<&Value> = match value {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(single) => vec![single],
        None => Vec::new(),
    };
    items.into_iter().filter_map(Value::as_str)
}

/// The document with each statement as `keep` makes it; none when no statement is left.
fn reduced(
    value: &Value,
    keep: impl Fn(&Map<String, Value>) -> Option<Map<String, Value>>,
) -> Result<Option<Document>, Malformed> {
    let mut kept = Vec::new();
    for statement in statements(value) {
        let object = statement.as_object().ok_or_else(|| Malformed("A Statement is not a JSON object.".to_owned()))?;
        kept.extend(keep(object).map(Value::Object));
    }
    let any = statements(value).next().is_some();
    if kept.is_empty() && any {
        return Ok(None);
    }
    let mut object = value.as_object().cloned().unwrap_or_default();
    object.insert("Statement".to_owned(), Value::Array(kept));
    Document::parse(&Value::Object(object).to_string()).map(Some)
}

fn for_everybody(statement: &Map<String, Value>) -> Map<String, Value> {
    let mut statement = statement.clone();
    statement.remove("NotPrincipal");
    statement.insert("Principal".to_owned(), "*".into());
    statement
}

fn without_federated(statement: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut statement = statement.clone();
    if let Some(Value::Object(names)) = statement.get_mut("Principal") {
        names.remove("Federated");
        if names.is_empty() {
            return None;
        }
    }
    let nobody = match statement.get_mut("NotPrincipal") {
        Some(Value::Object(names)) => {
            names.remove("Federated");
            names.is_empty()
        }
        _ => false,
    };
    Some(if nobody { for_everybody(&statement) } else { statement })
}

/// Statements that allow, without the accounts they name; those that deny stay whole.
fn without_accounts(statement: &Map<String, Value>) -> Option<Map<String, Value>> {
    if statement.get("Effect").and_then(Value::as_str) != Some("Allow") {
        return Some(statement.clone());
    }
    let mut statement = statement.clone();
    if statement.contains_key("NotPrincipal") {
        return None;
    }
    if let Some(Value::Object(names)) = statement.get_mut("Principal") {
        let kept: Vec<Value> = texts(names.get("AWS")).filter(|name| !is_account(name)).map(Value::from).collect();
        names.remove("AWS");
        if !kept.is_empty() {
            names.insert("AWS".to_owned(), Value::Array(kept));
        }
        if names.is_empty() {
            return None;
        }
    }
    Some(statement)
}

/// Whether a principal's name is that of an account.
pub(crate) fn is_account(name: &str) -> bool {
    let digits = name.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root")).unwrap_or(name);
    digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The statement as it concerns those of one provider.
fn federated(statement: &Map<String, Value>, provider: &str) -> Option<Map<String, Value>> {
    let speaks_of = |principal: &Value| {
        principal.as_str() == Some("*")
            || texts(principal.get("AWS")).any(|name| name == "*")
            || texts(principal.get("Federated")).any(|name| name == provider)
    };
    let concerned = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(principal), None) => speaks_of(principal),
        (None, Some(principal)) => !speaks_of(principal),
        _ => false,
    };
    concerned.then(|| for_everybody(statement))
}

#[cfg(test)]
mod tests {
    use aws_wire::{Arn, Caller, CallerKind, Session, Timestamp};
    use policy::Conditions;

    use super::{Question, Trust, TrustPolicy};
    use crate::IdentityError;

    const ACCOUNT: &str = "000000000001";

    fn user(name: &str) -> Caller {
        let arn = Arn::new("iam", "", ACCOUNT, format!("user/{name}"));
        Caller { arn, kind: CallerKind::User, user_name: Some(name.to_owned()), ..Caller::root(ACCOUNT, None) }
    }

    fn trust(principal: &str, effect: &str) -> TrustPolicy {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Principal":{principal},"Action":"sts:*"}}}}"#
        );
        TrustPolicy::parse(&text).unwrap()
    }

    fn said(trust: &TrustPolicy, caller: &Caller) -> Trust {
        let role = Arn::new("iam", "", ACCOUNT, "role/r");
        let conditions = Conditions::new();
        trust.of_caller(caller, Question { action: "sts:AssumeRole", role: &role, conditions: &conditions })
    }

    /// IAM User Guide, "Principal": an account hands the decision on; an identity is trusted itself.
    #[test]
    fn accounts_and_identities_are_told_apart() {
        let mara = user("mara");
        for account in [r#"{"AWS":"arn:aws:iam::000000000001:root"}"#, r#"{"AWS":"000000000001"}"#] {
            assert_eq!(said(&trust(account, "Allow"), &mara), Trust::Account);
            assert_eq!(said(&trust(account, "Deny"), &mara), Trust::Denied);
        }
        let named = r#"{"AWS":["arn:aws:iam::000000000002:root","arn:aws:iam::000000000001:user/mara"]}"#;
        assert_eq!(said(&trust(named, "Allow"), &mara), Trust::Caller);
        assert_eq!(said(&trust(named, "Allow"), &user("other")), Trust::Silent);
        assert_eq!(said(&trust(r#""*""#, "Allow"), &mara), Trust::Caller);
        assert_eq!(
            said(&trust(r#"{"Federated":"arn:aws:iam::000000000001:oidc-provider/x"}"#, "Allow"), &mara),
            Trust::Silent
        );
    }

    /// IAM User Guide, "Role session principals": a role's ARN stands for its sessions.
    #[test]
    fn a_role_stands_for_its_sessions() {
        let issuer = Arn::new("iam", "", ACCOUNT, "role/first");
        let session = Session {
            name: "s".to_owned(),
            issuer,
            issuer_id: "AROA".to_owned(),
            created: Timestamp::default(),
            details: aws_wire::SessionDetails::default(),
        };
        let arn = Arn::new("sts", "", ACCOUNT, "assumed-role/first/s");
        let caller =
            Caller { arn, kind: CallerKind::AssumedRole, session: Some(session), ..Caller::root(ACCOUNT, None) };
        assert_eq!(said(&trust(r#"{"AWS":"arn:aws:iam::000000000001:role/first"}"#, "Allow"), &caller), Trust::Caller);
        assert_eq!(said(&trust(r#"{"AWS":"arn:aws:iam::000000000001:role/other"}"#, "Allow"), &caller), Trust::Silent);
    }

    /// IAM User Guide, "Federated principals": a provider is trusted by its ARN, under the conditions of the statement.
    #[test]
    fn a_provider_is_trusted_by_its_arn() {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
            "Principal":{"Federated":"arn:aws:iam::000000000001:oidc-provider/id.example"},
            "Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"id.example:sub":"ann"}}}]}"#;
        let trust = TrustPolicy::parse(text).unwrap();
        let role = Arn::new("iam", "", ACCOUNT, "role/r");
        let of = |provider: &str, subject: &str| {
            let provider = Arn::new("iam", "", ACCOUNT, format!("oidc-provider/{provider}"));
            let conditions = Conditions::new().with("id.example:sub", subject);
            let action = "sts:AssumeRoleWithWebIdentity";
            trust.of_provider(
                &provider,
                &Caller::anonymous(),
                Question { action, role: &role, conditions: &conditions },
            )
        };
        assert_eq!(of("id.example", "ann"), Trust::Caller);
        assert_eq!(of("id.example", "bob"), Trust::Silent);
        assert_eq!(of("other.example", "ann"), Trust::Silent);
        assert_eq!(said(&trust, &user("ann")), Trust::Silent);
    }

    /// IAM API, CreateRole: a trust policy names principals and STS actions, and no resource.
    #[test]
    fn a_document_for_another_place_is_refused() {
        for (wrong, told) in [
            ("nonsense", "This policy contains invalid Json"),
            (r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}"#, "Missing required field Principal"),
            (
                r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}}"#,
                "Has prohibited field Resource",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:Decrypt"}}"#,
                "AssumeRole policy may only specify STS AssumeRole actions.",
            ),
        ] {
            match TrustPolicy::parse(wrong) {
                Err(IdentityError::MalformedPolicyDocument(text)) => assert_eq!(text, told),
                other => panic!("{wrong}: {other:?}"),
            }
        }
        for wrong in [
            r#"{"Statement":[]}"#,
            r#"{"Statement":{"Effect":"Perhaps","Principal":{"Federated":"x"},"Action":"sts:AssumeRole"}}"#,
            r#"{"Version":"1","Statement":{"Effect":"Allow","Principal":{"Federated":"x"},"Action":"sts:AssumeRole"}}"#,
        ] {
            assert!(TrustPolicy::parse(wrong).is_err(), "{wrong}");
        }
        let long = format!(
            r#"{{"Statement":{{"Sid":"{}","Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}}}"#,
            "x".repeat(2048)
        );
        assert!(matches!(TrustPolicy::parse(&long), Err(IdentityError::LimitExceeded(_))));
    }
}
