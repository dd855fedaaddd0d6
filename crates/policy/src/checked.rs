//! What became of the conditions of one statement, for people. IAM User Guide, "IAM JSON policy elements: Condition".

use std::fmt;

/// A condition held against the facts of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The condition: operator, key, and what the policy wants.
    pub condition: String,
    /// The key, as the policy spells it.
    pub key: String,
    /// What the call says under this key; nothing when the key is absent.
    pub found: Vec<String>,
    /// Whether it holds.
    pub holds: bool,
    /// The keys that it asks for, variables in its values among them, and that the call says nothing of.
    pub missing: Vec<String>,
}

impl fmt::Display for Checked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { condition, key, found, holds, missing } = self;
        let word = if *holds { "holds" } else { "does not hold" };
        write!(formatter, "{condition} {word}: ")?;
        if found.is_empty() {
            write!(formatter, "the request has no {key}")?;
        } else {
            write!(formatter, "{key} is {}", found.join(", "))?;
        }
        let mut variables = missing.iter().filter(|name| !name.eq_ignore_ascii_case(key)).peekable();
        if variables.peek().is_some() {
            let names: Vec<&str> = variables.map(String::as_str).collect();
            write!(formatter, "; without a value: {}", names.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Condition, Conditions};

    /// IAM User Guide, "Condition operators": what was compared is told, and what was not there.
    #[test]
    fn a_condition_tells_why_it_holds_or_not() {
        let facts = Conditions::new().with("kms:ViaService", "a").with("aws:TagKeys", "x").with("aws:TagKeys", "y");
        let told = |condition: serde_json::Value| {
            Condition::parse_all(Some(&condition), true).unwrap()[0].check(&facts).to_string()
        };
        assert_eq!(
            told(json!({"StringEquals": {"kms:viaservice": ["a", "b"]}})),
            "StringEquals kms:viaservice [a, b] holds: kms:viaservice is a"
        );
        assert_eq!(
            told(json!({"ForAllValues:StringEquals": {"aws:TagKeys": "x"}})),
            "ForAllValues:StringEquals aws:TagKeys [x] does not hold: aws:TagKeys is x, y"
        );
        assert_eq!(
            told(json!({"StringEquals": {"aws:username": "${aws:PrincipalTag/name}"}})),
            "StringEquals aws:username [${aws:PrincipalTag/name}] does not hold: the request has no aws:username; without a \
             value: aws:PrincipalTag/name"
        );
    }
}
