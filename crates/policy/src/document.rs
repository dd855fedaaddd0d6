//! Policy documents. IAM User Guide, "Grammar of the IAM JSON policy language".
//!
//! What this evaluator does not know is refused when the document is put, so that a stored document never means something else
//! than its author thinks.

use serde_json::{Map, Value};

use crate::{Condition, variable};

/// A document, ready to be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// `2012-10-17` or the older `2008-10-17`.
    pub version: String,
    /// The document's own name.
    pub id: Option<String>,
    /// What it says.
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its name.
    pub sid: Option<String>,
    /// What it does when it matches.
    pub effect: Effect,
    /// Whom it is about; none in identity policies.
    pub principals: Option<Scope<Principals>>,
    /// Which actions, with wildcards.
    pub actions: Scope<Vec<String>>,
    /// Which resources, with wildcards; none in policies that hang on one resource without naming it.
    pub resources: Option<Scope<Vec<String>>>,
    /// Every one of these must hold.
    pub conditions: Vec<Condition>,
    /// Whether `${...}` is a policy variable: not in the language of 2008.
    pub variables: bool,
}

/// Allow or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Allows, unless something denies.
    Allow,
    /// Denies, whatever allows.
    Deny,
}

/// `Action` or `NotAction`, and likewise for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope<T> {
    /// What is named.
    Only(T),
    /// All but what is named.
    AllBut(T),
}

/// The principals of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principals {
    /// `*`: everyone, signed or not.
    pub anyone: bool,
    /// Accounts (as `arn:...:root` or twelve digits) and identities.
    pub aws: Vec<String>,
    /// Service principals.
    pub services: Vec<String>,
    /// Identity providers, in trust policies of roles.
    pub federated: Vec<String>,
}

/// Why a text is not a policy document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// A text longer than this is no policy of any service.
const BYTES_MAX: usize = 128 * 1024;

impl Document {
    /// Reads a document.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.len() > BYTES_MAX {
            return Err(malformed("The policy is too long."));
        }
        let value: Value = serde_json::from_str(text).map_err(|_| malformed("The policy is not valid JSON."))?;
        let object = value.as_object().ok_or_else(|| malformed("The policy is not a JSON object."))?;
        known(object, &["Version", "Id", "Statement"])?;
        let version = optional(object, "Version")?.unwrap_or_else(|| "2008-10-17".to_owned());
        if version != "2012-10-17" && version != "2008-10-17" {
            return Err(malformed("The policy's Version is unknown."));
        }
        let variables = version == "2012-10-17";
        let statements = match object.get("Statement") {
            Some(Value::Array(items)) if !items.is_empty() => {
                items.iter().map(|item| statement(item, variables)).collect::<Result<_, _>>()?
            }
            Some(single @ Value::Object(_)) => vec![statement(single, variables)?],
            _ => return Err(malformed("The policy has no Statement.")),
        };
        let document = Self { version, id: optional(object, "Id")?, statements };
        let mut sids: Vec<&String> =
            document.statements.iter().filter_map(|statement| statement.sid.as_ref()).collect();
        sids.sort_unstable();
        if sids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
        }
        Ok(document)
    }
}

pub(crate) fn malformed(text: &str) -> Malformed {
    Malformed(text.to_owned())
}

fn known(object: &Map<String, Value>, names: &[&str]) -> Result<(), Malformed> {
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        None => Ok(()),
        Some(_) => Err(Malformed(format!("A field is unknown; allowed are {}.", names.join(", ")))),
    }
}

fn optional(object: &Map<String, Value>, name: &str) -> Result<Option<String>, Malformed> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Malformed(format!("{name} must be a string."))),
    }
}

fn statement(value: &Value, variables: bool) -> Result<Statement, Malformed> {
    let object = value.as_object().ok_or_else(|| malformed("A Statement is not a JSON object."))?;
    let names =
        ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    known(object, &names)?;
    let effect = match object.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(malformed("Effect must be Allow or Deny.")),
    };
    let actions = scope(object, "Action", "NotAction", |value| texts(value, "Action", false))?
        .ok_or_else(|| malformed("A Statement has no Action."))?;
    let (Scope::Only(names) | Scope::AllBut(names)) = &actions;
    if names.iter().any(|name| name != "*" && !name.contains(':')) {
        return Err(malformed("An Action has no service prefix."));
    }
    Ok(Statement {
        sid: optional(object, "Sid")?,
        effect,
        principals: scope(object, "Principal", "NotPrincipal", principals)?,
        actions,
        resources: scope(object, "Resource", "NotResource", |value| texts(value, "Resource", variables))?,
        conditions: Condition::parse_all(object.get("Condition"), variables)?,
        variables,
    })
}

fn scope<T>(
    object: &Map<String, Value>,
    only: &str,
    all_but: &str,
    read: impl Fn(&Value) -> Result<T, Malformed>,
) -> Result<Option<Scope<T>>, Malformed> {
    match (object.get(only), object.get(all_but)) {
        (None, None) => Ok(None),
        (Some(value), None) => read(value).map(Scope::Only).map(Some),
        (None, Some(value)) => read(value).map(Scope::AllBut).map(Some),
        (Some(_), Some(_)) => Err(Malformed(format!("A Statement has both {only} and {all_but}."))),
    }
}

/// A string or a list of strings, as nearly everything in a policy may be. `variables` says whether there may be some in it.
pub(crate) fn texts(value: &Value, name: &str, variables: bool) -> Result<Vec<String>, Malformed> {
    let text = |value: &Value| match value {
        Value::String(text) if variables => variable::check(text).map(|()| text.clone()),
        Value::String(text) => Ok(text.clone()),
        // Conditions on booleans and numbers are often written without quotes.
        Value::Bool(_) | Value::Number(_) if name == "Condition" => Ok(value.to_string()),
        _ => Err(Malformed(format!("{name} must be a string or a list of strings."))),
    };
    match value {
        Value::Array(items) if items.is_empty() => Err(Malformed(format!("{name} is an empty list."))),
        Value::Array(items) => items.iter().map(text).collect(),
        single => text(single).map(|text| vec![text]),
    }
}

fn principals(value: &Value) -> Result<Principals, Malformed> {
    if value.as_str() == Some("*") {
        return Ok(Principals { anyone: true, ..Principals::default() });
    }
    let object = value.as_object().ok_or_else(|| malformed("Principal must be * or an object."))?;
    known(object, &["AWS", "Service", "Federated"])?;
    let mut found = Principals::default();
    for (kind, names) in object {
        let names = texts(names, "Principal", false)?;
        match kind.as_str() {
            "AWS" if names.iter().any(|name| name == "*") => found.anyone = true,
            "AWS" => found.aws = names,
            "Federated" => found.federated = names,
            _ => found.services = names,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::Document;

    /// KMS Developer Guide, "Default key policy".
    #[test]
    fn the_default_key_policy_parses() {
        let text = r#"{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000001:root"},"Action":"kms:*","Resource":"*"}]}"#;
        let document = Document::parse(text).unwrap();
        assert_eq!(document.id.as_deref(), Some("key-default-1"));
        assert_eq!(document.statements.len(), 1);
    }

    /// IAM grammar: what it does not have is refused, not guessed.
    #[test]
    fn malformed_documents_are_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"Statement":[]}"#,
            r#"{"Statement":{"Effect":"Maybe","Action":"a:b"}}"#,
            r#"{"Statement":{"Effect":"Allow"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"nocolon"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"a:b","NotAction":"a:c"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"a:b","Foo":1}}"#,
            r#"{"Version":"1999-01-01","Statement":{"Effect":"Allow","Action":"a:b"}}"#,
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"a:b","Resource":"${aws:username"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"a:b","Condition":{"DateLessThan":{"a:b":"soon"}}}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"a:b","Condition":{"BinaryEquals":{"a:b":"~"}}}}"#,
            r#"{"Statement":[{"Sid":"a","Effect":"Allow","Action":"a:b"},{"Sid":"a","Effect":"Deny","Action":"a:b"}]}"#,
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        /// House rule: no input makes a parser panic.
        #[test]
        fn parsing_never_panics(text in ".{0,200}") {
            let _ = Document::parse(&text);
        }
    }
}
