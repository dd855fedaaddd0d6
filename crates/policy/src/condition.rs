//! Conditions of policies. IAM User Guide, "IAM JSON policy elements: Condition operators".

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use crate::checked::Checked;
use crate::document::{malformed, texts};
use crate::variable::{self, literal, matches_with, parts_with};
use crate::wildcard::matches_marks;
use crate::{Conditions, ContextKeys, Malformed};

/// One operator on one key: `"StringLike": {"kms:ViaService": ["...", "..."]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The operator as it was written.
    name: String,
    operator: Operator,
    negated: bool,
    if_exists: bool,
    set: Set,
    key: String,
    values: Vec<String>,
    /// Whether `${...}` in a value is a variable.
    variables: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Text,
    TextIgnoringCase,
    Like,
    Arn,
    Bool,
    Null,
    Number(Order),
    Date(Order),
    Binary,
    Ip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How an operator meets a key that may have several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    One,
    ForAllValues,
    ForAnyValue,
}

impl Condition {
    /// Reads the `Condition` element of a statement.
    pub(crate) fn parse_all(value: Option<&Value>, variables: bool) -> Result<Vec<Self>, Malformed> {
        let Some(value) = value else { return Ok(Vec::new()) };
        let operators = value.as_object().ok_or_else(|| malformed("Condition must be an object."))?;
        let mut all = Vec::new();
        for (name, keys) in operators {
            let keys = keys.as_object().ok_or_else(|| malformed("A condition operator must hold an object."))?;
            for (key, values) in keys {
                all.push(Self::parse(name, key, texts(values, "Condition", variables)?, variables)?);
            }
        }
        Ok(all)
    }

    fn parse(name: &str, key: &str, values: Vec<String>, variables: bool) -> Result<Self, Malformed> {
        let whole = name;
        let (set, name) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Set::ForAllValues, rest),
            Some(("ForAnyValue", rest)) => (Set::ForAnyValue, rest),
            Some(_) => return Err(unknown()),
            None => (Set::One, name),
        };
        let (if_exists, name) = match name.strip_suffix("IfExists") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let (operator, negated) = match name {
            "StringEquals" => (Operator::Text, false),
            "StringNotEquals" => (Operator::Text, true),
            "StringEqualsIgnoreCase" => (Operator::TextIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Operator::TextIgnoringCase, true),
            "StringLike" => (Operator::Like, false),
            "StringNotLike" => (Operator::Like, true),
            "ArnEquals" | "ArnLike" => (Operator::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Operator::Arn, true),
            "Bool" => (Operator::Bool, false),
            "Null" if !if_exists => (Operator::Null, false),
            "NumericEquals" => (Operator::Number(Order::Equal), false),
            "NumericNotEquals" => (Operator::Number(Order::Equal), true),
            "NumericLessThan" => (Operator::Number(Order::Less), false),
            "NumericLessThanEquals" => (Operator::Number(Order::LessOrEqual), false),
            "NumericGreaterThan" => (Operator::Number(Order::Greater), false),
            "NumericGreaterThanEquals" => (Operator::Number(Order::GreaterOrEqual), false),
            "DateEquals" => (Operator::Date(Order::Equal), false),
            "DateNotEquals" => (Operator::Date(Order::Equal), true),
            "DateLessThan" => (Operator::Date(Order::Less), false),
            "DateLessThanEquals" => (Operator::Date(Order::LessOrEqual), false),
            "DateGreaterThan" => (Operator::Date(Order::Greater), false),
            "DateGreaterThanEquals" => (Operator::Date(Order::GreaterOrEqual), false),
            "BinaryEquals" => (Operator::Binary, false),
            "IpAddress" => (Operator::Ip, false),
            "NotIpAddress" => (Operator::Ip, true),
            _ => return Err(unknown()),
        };
        // What a variable stands for is known only when someone calls.
        let known = |value: &&String| !(variables && value.contains("${"));
        if values.iter().filter(known).any(|value| !readable(operator, value)) {
            return Err(malformed("A condition's value does not fit its operator."));
        }
        Ok(Self { name: whole.to_owned(), operator, negated, if_exists, set, key: key.to_owned(), values, variables })
    }

    /// Whether it holds for the facts of a call.
    pub fn holds(&self, facts: &Conditions) -> bool {
        let found = facts.values(&self.key);
        if self.operator == Operator::Null {
            let absent = if found.is_empty() { "true" } else { "false" };
            return self.values.iter().any(|value| value.eq_ignore_ascii_case(absent));
        }
        let one = |fact: &String| self.values.iter().any(|value| self.compares(value, fact, facts)) != self.negated;
        match self.set {
            // No values at all satisfy every "for all"; that is IAM's rule and its known trap.
            Set::ForAllValues => found.iter().all(one),
            Set::ForAnyValue => (found.is_empty() && self.if_exists) || found.iter().any(one),
            // An absent key fails a positive operator and satisfies a negated one.
            Set::One if found.is_empty() => self.if_exists || self.negated,
            Set::One => found.iter().all(one),
        }
    }
}

impl Condition {
    /// The key that it asks for, as it was written.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The keys of the variables in its values.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter(|_| self.variables).flat_map(|value| variable::keys(value))
    }

    /// The same as [`Self::holds`], with all that it rests on.
    pub fn check(&self, facts: &Conditions) -> Checked {
        let found = facts.values(&self.key).to_vec();
        let mut missing = ContextKeys::default();
        let asked = std::iter::once(self.key()).chain(self.variables());
        asked.filter(|name| facts.values(name).is_empty()).for_each(|name| missing.add(name));
        let (condition, key) = (self.to_string(), self.key.clone());
        Checked { condition, key, found, holds: self.holds(facts), missing: missing.into_names() }
    }

    fn compares(&self, value: &str, fact: &str, facts: &Conditions) -> bool {
        match self.operator {
            Operator::Like => matches_with(value, fact, facts, self.variables),
            Operator::Arn => arn(value, fact, facts, self.variables),
            operator => literal(value, facts, self.variables).is_some_and(|value| operator.holds(&value, fact)),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} [{}]", self.name, self.key, self.values.join(", "))
    }
}

fn unknown() -> Malformed {
    malformed("A condition operator is unknown or not supported.")
}

/// A value that its operator could never read is an error of the document, not a silent mismatch.
fn readable(operator: Operator, value: &str) -> bool {
    match operator {
        Operator::Bool | Operator::Null => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
        Operator::Number(_) => number(value).is_some(),
        Operator::Ip => network(value).is_some(),
        Operator::Date(_) => moment(value).is_some(),
        Operator::Binary => STANDARD.decode(value).is_ok(),
        Operator::Text | Operator::TextIgnoringCase | Operator::Like | Operator::Arn => true,
    }
}

impl Operator {
    fn holds(self, value: &str, fact: &str) -> bool {
        match self {
            Self::Text => value == fact,
            Self::TextIgnoringCase | Self::Bool => value.eq_ignore_ascii_case(fact),
            // They look at patterns and at presence, which is done before it comes here.
            Self::Like | Self::Arn | Self::Null => false,
            Self::Number(order) => match (number(fact), number(value)) {
                (Some(fact), Some(value)) => order.holds(fact.total_cmp(&value)),
                _ => false,
            },
            Self::Date(order) => match (moment(fact), moment(value)) {
                (Some(fact), Some(value)) => order.holds(fact.cmp(&value)),
                _ => false,
            },
            Self::Binary => match (STANDARD.decode(fact), STANDARD.decode(value)) {
                (Ok(fact), Ok(value)) => fact == value,
                _ => false,
            },
            Self::Ip => match (network(value), fact.parse::<IpAddr>()) {
                (Some((base, bits)), Ok(fact)) => within(base, bits, fact),
                _ => false,
            },
        }
    }
}

impl Order {
    fn holds(self, found: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

pub(crate) fn number(text: &str) -> Option<f64> {
    // Zero is zero, whatever its sign.
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number + 0.0)
}

/// A time in one of the forms that the guide names: ISO 8601, or seconds since 1970.
pub(crate) fn moment(text: &str) -> Option<OffsetDateTime> {
    if let Ok(seconds) = text.parse::<i64>()
        && (text.len() != 4 || text.starts_with('-'))
    {
        return OffsetDateTime::from_unix_timestamp(seconds).ok();
    }
    let whole = OffsetDateTime::parse(text, &Rfc3339).or_else(|_| OffsetDateTime::parse(text, &Iso8601::PARSING));
    let clock = || PrimitiveDateTime::parse(text, &Iso8601::PARSING).map(PrimitiveDateTime::assume_utc);
    let day = || Date::parse(text, &Iso8601::PARSING).map(|date| date.midnight().assume_utc());
    whole.or_else(|_| clock()).or_else(|_| day()).ok()
}

/// ARNs are compared part by part, so that a star does not run over a colon; the resource is one part.
fn arn(pattern: &str, fact: &str, facts: &Conditions, variables: bool) -> bool {
    let Some(wanted) = parts_with(pattern, facts, variables) else { return false };
    let found: Vec<&str> = fact.splitn(6, ':').collect();
    wanted.len() == 6
        && found.len() == 6
        && wanted.iter().zip(&found).all(|(wanted, found)| matches_marks(wanted, found))
}

fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some((address, bits))
}

fn within(base: IpAddr, bits: u32, fact: IpAddr) -> bool {
    match (base, fact) {
        (IpAddr::V4(base), IpAddr::V4(fact)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            (u32::from(base) ^ u32::from(fact)) & mask == 0
        }
        (IpAddr::V6(base), IpAddr::V6(fact)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            (u128::from(base) ^ u128::from(fact)) & mask == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Condition;
    use crate::Conditions;

    fn holds(condition: &serde_json::Value, facts: &Conditions) -> bool {
        Condition::parse_all(Some(condition), true).unwrap().iter().all(|condition| condition.holds(facts))
    }

    /// IAM User Guide, "Condition operators": each operator on present and absent keys.
    #[test]
    fn operators_hold_as_the_guide_says() {
        let facts = Conditions::new()
            .with("aws:SecureTransport", "true")
            .with("aws:SourceIp", "198.51.100.24")
            .with("kms:ViaService", "elasticfilesystem.us-east-1.amazonaws.com")
            .with("aws:TagKeys", "a")
            .with("aws:TagKeys", "b")
            .with("n", "7")
            .with("a:arn", "arn:aws:iam::000000000001:role/x/y")
            .with("arn", "arn:aws:iam::000000000001:role/x/y")
            .with("aws:CurrentTime", "2026-11-28T10:00:00Z")
            .with("aws:EpochTime", "1795860000")
            .with("aws:username", "mara")
            .with("tag", "mara-1")
            .with("key", "QmluYXJ5VmFsdWU=");
        for (condition, expected) in [
            (json!({"Bool": {"aws:securetransport": "true"}}), true),
            (json!({"Bool": {"aws:SecureTransport": false}}), false),
            (json!({"Bool": {"absent": "true"}}), false),
            (json!({"BoolIfExists": {"absent": "true"}}), true),
            (json!({"StringEquals": {"kms:ViaService": ["x", "elasticfilesystem.us-east-1.amazonaws.com"]}}), true),
            (json!({"StringLike": {"kms:ViaService": "elasticfilesystem.*"}}), true),
            (json!({"StringNotEquals": {"absent": "x"}}), true),
            (json!({"StringNotLike": {"kms:ViaService": "elastic*"}}), false),
            (json!({"Null": {"absent": "true", "n": "false"}}), true),
            (json!({"NumericLessThan": {"n": "8"}, "NumericGreaterThanEquals": {"n": 7}}), true),
            (json!({"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}}), true),
            (json!({"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "198.51.100.24"]}}), false),
            (json!({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}), true),
            (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b", "c"]}}), true),
            (json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}), false),
            (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["b"]}}), true),
            (json!({"ForAllValues:StringEquals": {"absent": ["b"]}}), true),
            (json!({"ForAnyValue:StringEquals": {"absent": ["b"]}}), false),
            (json!({"ArnLike": {"arn": "arn:aws:iam::*:role/*"}}), true),
            (json!({"ArnLike": {"arn": "arn:*"}}), false),
            (json!({"ArnEquals": {"arn": "${a:arn}"}}), true),
            (json!({"StringEquals": {"aws:username": "${aws:username}"}}), true),
            (json!({"StringLike": {"tag": "${aws:username}-*"}}), true),
            (json!({"StringNotEquals": {"tag": "${aws:absent}"}}), true),
            (json!({"StringEquals": {"tag": "${aws:absent, 'mara-1'}"}}), true),
            (json!({"DateGreaterThan": {"aws:CurrentTime": "2026-11-28T09:59:59Z"}}), true),
            (json!({"DateLessThan": {"aws:CurrentTime": "2026-11-28"}}), false),
            (json!({"DateLessThanEquals": {"aws:EpochTime": "2026-11-28T10:00:00Z"}}), true),
            (json!({"DateEquals": {"aws:CurrentTime": "1795860000"}}), true),
            (json!({"DateNotEquals": {"aws:CurrentTime": "2026-11-28T10:00Z"}}), false),
            (json!({"BinaryEquals": {"key": "QmluYXJ5VmFsdWU="}}), true),
            (json!({"BinaryEquals": {"key": "QmluYXI="}}), false),
        ] {
            assert_eq!(holds(&condition, &facts), expected, "{condition}");
        }
    }

    /// IAM grammar: a value that the operator cannot read is refused.
    #[test]
    fn unreadable_values_are_refused() {
        for condition in [
            json!({"Bool": {"a": "maybe"}}),
            json!({"IpAddress": {"a": "10.0.0.0/33"}}),
            json!({"NumericEquals": {"a": "seven"}}),
            json!({"Strange": {"a": "b"}}),
            json!({"ForSomeValues:StringEquals": {"a": "b"}}),
            json!([]),
            json!({"Bool": []}),
        ] {
            assert!(Condition::parse_all(Some(&condition), true).is_err(), "{condition}");
        }
    }
}
