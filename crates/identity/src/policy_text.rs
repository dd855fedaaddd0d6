//! A policy document as it was given and as it is evaluated. IAM User Guide, "Grammar of the IAM JSON policy language".

use std::sync::Arc;

use policy::{Document, Malformed};
use serde::{Deserialize, Serialize};

use crate::IdentityError;

/// A text and what it says. Stored as its text; parsed once, when it is put or read from disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct PolicyText {
    text: Arc<str>,
    document: Arc<Document>,
}

impl PolicyText {
    /// A document for an identity: it names resources and no principals.
    pub(crate) fn for_identity(text: &str) -> Result<Self, IdentityError> {
        let policy = Self::parse(text)?;
        let statements = &policy.document.statements;
        if statements.iter().any(|statement| statement.principals.is_some()) {
            return Err(malformed("Policy document should not specify a principal."));
        }
        if statements.iter().any(|statement| statement.resources.is_none()) {
            return Err(malformed("Policy statement must contain resources."));
        }
        Ok(policy)
    }

    fn parse(text: &str) -> Result<Self, IdentityError> {
        let value: Result<serde_json::Value, _> = serde_json::from_str(text);
        if !value.is_ok_and(|value| value.is_object()) {
            return Err(malformed("Syntax errors in policy."));
        }
        Ok(Self::try_from(text.to_owned())?)
    }

    /// The text, as it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub(crate) fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// Its size as quotas count it.
    pub(crate) fn characters(&self) -> usize {
        characters(&self.text)
    }
}

/// IAM does not count white space.
pub(crate) fn characters(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}

pub(crate) fn malformed(text: &str) -> IdentityError {
    IdentityError::MalformedPolicyDocument(text.to_owned())
}

impl TryFrom<String> for PolicyText {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        let document = Arc::new(Document::parse(&text)?);
        Ok(Self { text: text.into(), document })
    }
}

impl From<PolicyText> for String {
    fn from(policy: PolicyText) -> Self {
        policy.text.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::PolicyText;
    use crate::IdentityError;

    /// IAM API, MalformedPolicyDocument: identity policies name resources and no principals, and are JSON.
    #[test]
    fn a_document_for_another_place_is_refused() {
        let good = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}"#;
        let policy = PolicyText::for_identity(good).unwrap();
        assert_eq!(policy.text(), good);
        let stored = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<PolicyText>(&stored).unwrap(), policy);
        for (wrong, told) in [
            ("nonsense", "Syntax errors in policy."),
            ("[]", "Syntax errors in policy."),
            (r#"{"Statement":[{"Effect":"Allow","Action":"kms:*"}]}"#, "Policy statement must contain resources."),
            (
                r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]}"#,
                "Policy document should not specify a principal.",
            ),
        ] {
            match PolicyText::for_identity(wrong) {
                Err(IdentityError::MalformedPolicyDocument(text)) => assert_eq!(text, told),
                other => panic!("{wrong}: {other:?}"),
            }
        }
        assert!(PolicyText::for_identity(r#"{"Statement":[]}"#).is_err());
    }

    /// IAM User Guide, "IAM and AWS STS quotas": white space does not count.
    #[test]
    fn white_space_is_not_counted() {
        assert_eq!(super::characters(" a\n\tb c "), 3);
    }
}
