//! Judges a request's JSON by the model's tables, with AWS's sentences, before any handler sees it.
//!
//! Smithy, "Constraint traits". Order as AWS has it: first wrong JSON types (one error, at once), then every failed
//! constraint in one message.

use std::borrow::Cow;

use serde_json::Value;
use zeroize::Zeroize;

use crate::blob;
use crate::shape::{Input, Member, Shape};

/// Why a request is not what the model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invalid {
    /// Not JSON, or a JSON type where the model has another: `SerializationException`.
    Type(String),
    /// Constraints failed: `ValidationException`, or `BadRequest` at EFS; the text is AWS's.
    Constraint(String),
}

/// At most so many failures are spelled out in one message.
const FAILURES_MAX: usize = 32;
/// At most so many characters of a value are repeated in a message.
const ECHO_MAX: usize = 1024;

/// Checks a request and turns it into its generated type.
pub fn decode<T: Input>(value: &Value) -> Result<T, Invalid> {
    check(value, T::shape())?;
    // What the tables accept fits the type that was generated from them; a difference is still only the caller's error.
    T::deserialize(value).map_err(|error| Invalid::Type(error.to_string()))
}

/// Checks a value against a shape.
pub fn check(value: &Value, shape: &Shape) -> Result<(), Invalid> {
    types(value, shape)?;
    let mut failures = Vec::new();
    constraints(value, shape, &mut Path(String::new()), &mut failures);
    if failures.is_empty() {
        return Ok(());
    }
    let (count, plural) = (failures.len(), if failures.len() == 1 { "" } else { "s" });
    Err(Invalid::Constraint(format!("{count} validation error{plural} detected: {}", failures.join("; "))))
}

/// Members that no audit record shows and no message repeats, whatever the model says of them: KMS does not mark grant
/// tokens as sensitive, but whoever reads one may use its grant.
pub const SECRET_MEMBERS: [&str; 13] = [
    "Plaintext",
    "CiphertextBlob",
    "CiphertextForRecipient",
    "GrantToken",
    "GrantTokens",
    "ImportToken",
    "PublicKey",
    "PrivateKeyPlaintext",
    "PrivateKeyCiphertextBlob",
    "SharedSecret",
    "Message",
    "Mac",
    "Signature",
];

/// The request as an audit record shows it: names in lowerCamelCase, secrets and blobs left out.
pub fn redacted(value: &Value, shape: &Shape) -> Value {
    match (shape, value) {
        (Shape::Structure(members), Value::Object(object)) => Value::Object(
            members
                .iter()
                .filter(|member| !hidden(member.shape) && !SECRET_MEMBERS.contains(&member.name))
                .filter_map(|member| {
                    let found = object.get(member.name).filter(|found| !found.is_null())?;
                    Some((lower_camel(member.name), redacted(found, member.shape)))
                })
                .collect(),
        ),
        (Shape::List { member, .. }, Value::Array(items)) => {
            Value::Array(items.iter().map(|item| redacted(item, member)).collect())
        }
        _ => value.clone(),
    }
}

/// A list or a map is as secret as what it holds.
fn hidden(shape: &Shape) -> bool {
    match shape {
        Shape::Blob { .. } | Shape::Text { sensitive: true, .. } => true,
        Shape::List { member, .. } => hidden(member),
        Shape::Map { key, value, .. } => hidden(key) || hidden(value),
        _ => false,
    }
}

/// Overwrites every text in a value that may hold a secret, then drops it.
pub fn wipe(value: Value) {
    match value {
        Value::String(mut text) => text.zeroize(),
        Value::Array(items) => items.into_iter().for_each(wipe),
        Value::Object(object) => object.into_iter().for_each(|(_, item)| wipe(item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `KeyId` as `keyId`: the spelling of members in messages and audit records.
pub fn lower_camel(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(characters).collect()
}

fn types(value: &Value, shape: &Shape) -> Result<(), Invalid> {
    let wrong = |wanted: &str| Err(Invalid::Type(mismatch(value, wanted)));
    match (shape, value) {
        (_, Value::Null) => Ok(()),
        (Shape::Structure(members), Value::Object(object)) => members
            .iter()
            .filter_map(|member| Some((object.get(member.name)?, member.shape)))
            .try_for_each(|(found, shape)| types(found, shape)),
        (Shape::Map { value: inner, .. }, Value::Object(object)) => {
            object.values().try_for_each(|found| if found.is_null() { null_element() } else { types(found, inner) })
        }
        (Shape::List { member, .. }, Value::Array(items)) => {
            items.iter().try_for_each(|found| if found.is_null() { null_element() } else { types(found, member) })
        }
        (Shape::Text { .. }, Value::String(_)) | (Shape::Boolean, Value::Bool(_)) => Ok(()),
        (Shape::Blob { .. }, Value::String(text)) => match blob::decode(text) {
            Some(mut bytes) => {
                bytes.zeroize();
                Ok(())
            }
            None => Err(Invalid::Type("The value is not valid base64".to_owned())),
        },
        (Shape::Integer { .. }, Value::Number(number)) => match number.as_i64().map(i32::try_from) {
            Some(Ok(_)) => Ok(()),
            _ => wrong("an Integer"),
        },
        (Shape::Long { .. }, Value::Number(number)) if number.is_i64() => Ok(()),
        (Shape::Double { .. } | Shape::Timestamp, Value::Number(number)) => match number.as_f64() {
            Some(found) if found.is_finite() => Ok(()),
            _ => wrong("a Double"),
        },
        (Shape::Structure(_) | Shape::Map { .. } | Shape::List { .. }, _) => {
            Err(Invalid::Type("Unexpected field type".to_owned()))
        }
        (Shape::Text { .. } | Shape::Blob { .. }, _) => wrong("a String"),
        (Shape::Boolean, _) => wrong("a Boolean"),
        (Shape::Integer { .. }, _) => wrong("an Integer"),
        (Shape::Long { .. }, _) => wrong("a Long"),
        (Shape::Double { .. }, _) => wrong("a Double"),
        (Shape::Timestamp, _) => wrong("a Timestamp"),
    }
}

fn null_element() -> Result<(), Invalid> {
    Err(Invalid::Type("Null elements are not allowed in lists and maps".to_owned()))
}

fn mismatch(found: &Value, wanted: &str) -> String {
    let name = match found {
        Value::Object(_) => return "Start of structure or map found where not expected.".to_owned(),
        Value::Array(_) => return "Start of list found where not expected".to_owned(),
        Value::Null => "NULL_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Number(number) if number.is_f64() => "DECIMAL_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
    };
    format!("{name} can not be converted to {wanted}")
}

/// Where a member stands, as messages say it: `tags.1.member.tagKey`.
struct Path(String);

impl Path {
    fn member(&self, name: &str) -> Self {
        let dot = if self.0.is_empty() { "" } else { "." };
        Self(format!("{}{dot}{}", self.0, lower_camel(name)))
    }

    fn element(&self, position: usize) -> Self {
        Self(format!("{}.{position}.member", self.0))
    }

    /// Whether it leads to or into a secret member.
    fn is_secret(&self) -> bool {
        let secret = |part: &str| SECRET_MEMBERS.iter().any(|name| lower_camel(name) == part);
        self.0.split('.').any(secret)
    }
}

fn constraints(value: &Value, shape: &Shape, path: &mut Path, failures: &mut Vec<String>) {
    if failures.len() >= FAILURES_MAX {
        return;
    }
    for constraint in broken(value, shape) {
        failures.push(failure(value, shape, path, &constraint));
    }
    match (shape, value) {
        (Shape::Structure(members), Value::Object(object)) => {
            for member in *members {
                member_constraints(object.get(member.name), member, path, failures);
            }
        }
        (Shape::List { member, max, .. }, Value::Array(items)) => {
            let too_long = max.is_some_and(|max| items.len() as u64 > max);
            if !too_long {
                elements(value, items.iter(), member, path, "Member", failures);
            }
        }
        (Shape::Map { key, value: inner, .. }, Value::Object(object)) => {
            let keys: Vec<Value> = object.keys().cloned().map(Value::String).collect();
            elements(value, keys.iter(), key, path, "Map keys", failures);
            elements(value, object.values(), inner, path, "Map value", failures);
        }
        _ => {}
    }
}

fn member_constraints(found: Option<&Value>, member: &Member, path: &Path, failures: &mut Vec<String>) {
    let mut path = path.member(member.name);
    match found {
        None | Some(Value::Null) if member.required => {
            failures.push(format!("Value null at '{}' failed to satisfy constraint: Member must not be null", path.0));
        }
        None | Some(Value::Null) => {}
        Some(found) => constraints(found, member.shape, &mut path, failures),
    }
}

/// Elements: a structure is judged at its own path; a plain element is reported at the path of the whole list or map.
fn elements<'a>(
    whole: &Value,
    items: impl Iterator<Item = &'a Value>,
    shape: &Shape,
    path: &Path,
    subject: &str,
    failures: &mut Vec<String>,
) {
    let nested = matches!(shape, Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. });
    for (position, item) in items.enumerate() {
        if nested {
            constraints(item, shape, &mut path.element(position + 1), failures);
        } else if !broken(item, shape).is_empty() {
            let constraint = format!("{subject} must satisfy constraint: [{}]", all(shape).join(", "));
            failures.push(failure(whole, shape, path, &constraint));
            return;
        }
    }
}

fn failure(value: &Value, shape: &Shape, path: &Path, constraint: &str) -> String {
    // Of a blob that is no secret only the length is told.
    let told = matches!(shape, Shape::Blob { sensitive: false, .. });
    if !told && (hidden(shape) || path.is_secret()) {
        return format!("Value at '{}' failed to satisfy constraint: {constraint}", path.0);
    }
    format!("Value '{}' at '{}' failed to satisfy constraint: {constraint}", echo(value, shape), path.0)
}

fn echo(value: &Value, shape: &Shape) -> String {
    if let (Shape::Blob { .. }, Value::String(text)) = (shape, value) {
        let length = blob::decode(text).map_or(0, |bytes| bytes.len());
        return format!("java.nio.HeapByteBuffer[pos=0 lim={length} cap={length}]");
    }
    let mut text = String::new();
    print(value, &mut text);
    match text.char_indices().nth(ECHO_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Prints a value about as Java would, and no further than a message repeats it.
fn print(value: &Value, text: &mut String) {
    if text.len() > 4 * ECHO_MAX {
        return;
    }
    let list = |text: &mut String, parts: &mut dyn Iterator<Item = (Option<&String>, &Value)>| {
        for (position, (name, item)) in parts.enumerate() {
            text.push_str(if position == 0 { "" } else { ", " });
            if let Some(name) = name {
                text.push_str(name);
                text.push('=');
            }
            print(item, text);
        }
    };
    match value {
        Value::String(found) => text.extend(found.chars().take(ECHO_MAX + 1)),
        Value::Array(items) => {
            text.push('[');
            list(text, &mut items.iter().map(|item| (None, item)));
            text.push(']');
        }
        Value::Object(object) => {
            text.push('{');
            list(text, &mut object.iter().map(|(name, item)| (Some(name), item)));
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}

/// The constraints of a shape that a value breaks, as sentences.
fn broken(value: &Value, shape: &Shape) -> Vec<Cow<'static, str>> {
    let length_of = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    match (shape, value) {
        (Shape::Text { min, max, pattern, values, .. }, Value::String(text)) => {
            let mut failed = lengths(length_of(text.chars().count()), *min, *max);
            if let Some(pattern) = pattern
                && max.is_none_or(|max| length_of(text.chars().count()) <= max)
                && !pattern.matches(text)
            {
                failed.push(pattern_sentence(pattern.source()));
            }
            if !values.is_empty() && !values.contains(&text.as_str()) {
                failed.push(enum_sentence(values));
            }
            failed
        }
        (Shape::Blob { min, max, .. }, Value::String(text)) => {
            // The length is known without decoding: four characters carry three bytes, less the padding.
            let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
            lengths(length_of((text.len() / 4 * 3).saturating_sub(padding)), *min, *max)
        }
        (Shape::List { min, max, .. }, Value::Array(items)) => lengths(length_of(items.len()), *min, *max),
        (Shape::Map { min, max, .. }, Value::Object(object)) => lengths(length_of(object.len()), *min, *max),
        (Shape::Integer { min, max } | Shape::Long { min, max }, Value::Number(number)) => {
            let found = number.as_i64().unwrap_or_default();
            let mut failed = Vec::new();
            failed.extend(max.filter(|max| found > *max).map(|max| most("value", max)));
            failed.extend(min.filter(|min| found < *min).map(|min| least("value", min)));
            failed
        }
        (Shape::Double { min, max }, Value::Number(number)) => {
            let found = number.as_f64().unwrap_or_default();
            let mut failed = Vec::new();
            failed.extend(max.filter(|max| found > *max).map(|max| most("value", max)));
            failed.extend(min.filter(|min| found < *min).map(|min| least("value", min)));
            failed
        }
        _ => Vec::new(),
    }
}

fn lengths(length: u64, min: Option<u64>, max: Option<u64>) -> Vec<Cow<'static, str>> {
    let over = max.filter(|max| length > *max).map(|max| most("length", max));
    let under = min.filter(|min| length < *min).map(|min| least("length", min));
    over.into_iter().chain(under).collect()
}

/// Every constraint of a plain shape, broken or not: AWS lists them all for an element of a list.
fn all(shape: &Shape) -> Vec<Cow<'static, str>> {
    match shape {
        Shape::Text { min, max, pattern, values, .. } => {
            let mut every = Vec::new();
            every.extend(max.map(|max| most("length", max)));
            every.extend(min.map(|min| least("length", min)));
            every.extend(pattern.map(|pattern| pattern_sentence(pattern.source())));
            every.extend((!values.is_empty()).then(|| enum_sentence(values)));
            every
        }
        Shape::Integer { min, max } | Shape::Long { min, max } => {
            max.map(|max| most("value", max)).into_iter().chain(min.map(|min| least("value", min))).collect()
        }
        _ => Vec::new(),
    }
}

fn most(what: &str, bound: impl std::fmt::Display) -> Cow<'static, str> {
    format!("Member must have {what} less than or equal to {bound}").into()
}

fn least(what: &str, bound: impl std::fmt::Display) -> Cow<'static, str> {
    format!("Member must have {what} greater than or equal to {bound}").into()
}

fn pattern_sentence(source: &str) -> Cow<'static, str> {
    format!("Member must satisfy regular expression pattern: {source}").into()
}

fn enum_sentence(values: &[&str]) -> Cow<'static, str> {
    format!("Member must satisfy enum value set: [{}]", values.join(", ")).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Invalid, check, lower_camel, redacted};
    use crate::Pattern;
    use crate::shape::{Location, Member, Shape};

    static LETTERS: Pattern = Pattern::new("[a-z]+");
    static KEY_ID: Shape =
        Shape::Text { min: Some(1), max: Some(8), pattern: Some(&LETTERS), values: &[], sensitive: false };
    static SPEC: Shape = Shape::Text { min: None, max: None, pattern: None, values: &["A", "B"], sensitive: false };
    static SPECS: Shape = Shape::List { member: &SPEC, min: None, max: Some(3) };
    static TAG: Shape = Shape::Structure(&[body("TagKey", true, &KEY_ID)]);
    static TAGS: Shape = Shape::List { member: &TAG, min: None, max: None };
    static PLAINTEXT: Shape = Shape::Blob { min: Some(1), max: Some(4), sensitive: true };
    static CIPHERTEXT: Shape = Shape::Blob { min: Some(1), max: Some(4), sensitive: false };
    static COUNT: Shape = Shape::Integer { min: Some(7), max: Some(30) };
    static CONTEXT: Shape = Shape::Map { key: &KEY_ID, value: &KEY_ID, min: None, max: None };
    static TOKEN: Shape = Shape::Text { min: Some(1), max: Some(4), pattern: None, values: &[], sensitive: false };
    static TOKENS: Shape = Shape::List { member: &TOKEN, min: None, max: Some(1) };
    static PASSWORD: Shape = Shape::Text { min: None, max: Some(2), pattern: None, values: &[], sensitive: true };
    static PASSWORDS: Shape = Shape::List { member: &PASSWORD, min: None, max: None };
    static NAMED_PASSWORDS: Shape = Shape::Map { key: &KEY_ID, value: &PASSWORD, min: None, max: None };
    static REQUEST: Shape = Shape::Structure(&[
        body("KeyId", true, &KEY_ID),
        body("Specs", false, &SPECS),
        body("Tags", false, &TAGS),
        body("Plaintext", false, &PLAINTEXT),
        body("CiphertextBlob", false, &CIPHERTEXT),
        body("Count", false, &COUNT),
        body("Context", false, &CONTEXT),
        body("Flag", false, &Shape::Boolean),
        body("GrantTokens", false, &TOKENS),
        body("Passwords", false, &PASSWORDS),
        body("NamedPasswords", false, &NAMED_PASSWORDS),
    ]);

    const fn body(name: &'static str, required: bool, shape: &'static Shape) -> Member {
        Member { name, required, location: Location::Body, shape }
    }

    fn message(value: &serde_json::Value) -> String {
        match check(value, &REQUEST) {
            Err(Invalid::Constraint(text) | Invalid::Type(text)) => text,
            Ok(()) => "fine".to_owned(),
        }
    }

    /// KMS API, common errors: the sentences of ValidationException.
    #[test]
    fn constraints_speak_as_aws_does() {
        for (value, expected) in [
            (
                json!({}),
                "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null",
            ),
            (
                json!({"KeyId": ""}),
                "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+",
            ),
            (
                json!({"KeyId": "a".repeat(9)}),
                "1 validation error detected: Value 'aaaaaaaaa' at 'keyId' failed to satisfy constraint: Member must have length less than or equal to 8",
            ),
            (
                json!({"KeyId": "a", "Tags": [{"TagKey": "B"}]}),
                "1 validation error detected: Value 'B' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+",
            ),
            (
                json!({"KeyId": "a", "Specs": ["A", "C"]}),
                "1 validation error detected: Value '[A, C]' at 'specs' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [A, B]]",
            ),
            (
                json!({"KeyId": "a", "Count": 31}),
                "1 validation error detected: Value '31' at 'count' failed to satisfy constraint: Member must have value less than or equal to 30",
            ),
            (
                json!({"KeyId": "a", "Plaintext": ""}),
                "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ),
            (
                json!({"KeyId": "a", "CiphertextBlob": "AAAAAAA="}),
                "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=5 cap=5]' at 'ciphertextBlob' failed to satisfy constraint: Member must have length less than or equal to 4",
            ),
            (json!({"KeyId": "a", "Context": {"a": "b"}, "Flag": true, "Count": 7, "Other": 5}), "fine"),
            (json!({"KeyId": "a", "Flag": null, "Count": null}), "fine"),
        ] {
            assert_eq!(message(&value), expected);
        }
    }

    /// KMS API: a wrong JSON type is a SerializationException, before any constraint.
    #[test]
    fn wrong_types_come_first() {
        for (value, expected) in [
            (json!([]), "Unexpected field type"),
            (json!({"KeyId": 5}), "NUMBER_VALUE can not be converted to a String"),
            (json!({"KeyId": {}}), "Start of structure or map found where not expected."),
            (json!({"Count": "7"}), "STRING_VALUE can not be converted to an Integer"),
            (json!({"Count": 4_294_967_296_u64}), "NUMBER_VALUE can not be converted to an Integer"),
            (json!({"Specs": [null]}), "Null elements are not allowed in lists and maps"),
            (json!({"Plaintext": "a"}), "The value is not valid base64"),
        ] {
            assert_eq!(check(&value, &REQUEST), Err(Invalid::Type(expected.to_owned())), "{value}");
        }
    }

    /// CloudTrail record reference: parameters in lowerCamelCase; KMS never logs plaintext or ciphertext.
    #[test]
    fn audit_sees_no_secrets() {
        let request = json!({"KeyId": "a", "Plaintext": "AAAA", "CiphertextBlob": "AAAA", "Tags": [{"TagKey": "k"}], "Context": {"Key": "v"}, "Unknown": 1});
        assert_eq!(
            redacted(&request, &REQUEST),
            json!({"keyId": "a", "tags": [{"tagKey": "k"}], "context": {"Key": "v"}})
        );
        assert_eq!(lower_camel("AWSAccountId"), "aWSAccountId");
    }

    /// Threat model: a grant token is as good as its grant, and a list is as secret as what it holds; neither a record nor a
    /// message shows them.
    #[test]
    fn tokens_and_lists_of_secrets_are_hidden() {
        let secrets = [
            json!({"KeyId": "a", "GrantTokens": ["canary"]}),
            json!({"KeyId": "a", "GrantTokens": ["c", "canary"]}),
            json!({"KeyId": "a", "Passwords": ["canary"]}),
            json!({"KeyId": "a", "NamedPasswords": {"a": "canary"}}),
        ];
        for request in secrets {
            assert_eq!(redacted(&request, &REQUEST), json!({"keyId": "a"}));
            let told = message(&request);
            assert!(told.contains("failed to satisfy constraint") && !told.contains("canary"), "{told}");
        }
    }

    /// House rule: a peer cannot make a message grow without bound.
    #[test]
    fn messages_are_bounded() {
        let tags: Vec<_> = (0..10_000).map(|_| json!({"TagKey": "X".repeat(5000)})).collect();
        assert!(message(&json!({"KeyId": "a", "Tags": tags})).len() < 100_000);
        assert!(message(&json!({"KeyId": "X".repeat(1_000_000)})).len() < 10_000);
    }
}
