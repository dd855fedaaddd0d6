//! Key policies: the default ones, and what is checked of one that is given. KMS developer guide, "Key policies".

use serde_json::Value;

use crate::KmsError;

/// What CreateKey takes at most. KMS developer guide, "Resource quotas".
const POLICY_BYTES_MAX: usize = 32_768;
/// The version of the policy language that all policies name.
const LANGUAGE: &str = "2012-10-17";

/// The policy of a KMS key that is made without one: the account's root may all, so identity policies decide.
pub(crate) fn default_of(account: &str) -> String {
    format!(
        r#"{{
  "Version" : "{LANGUAGE}",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// The fixed policy of a service's key: whoever may use the service uses the key, but only through the service.
pub(crate) fn of_service(service: &str, account: &str, region: &str) -> String {
    format!(
        r#"{{
  "Version" : "{LANGUAGE}",
  "Id" : "auto-{service}-1",
  "Statement" : [ {{
    "Sid" : "Allow access to EFS for all principals in the account that are authorized to use EFS",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "*"
    }},
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {{
      "StringEquals" : {{
        "kms:ViaService" : "{service}.{region}.amazonaws.com",
        "kms:CallerAccount" : "{account}"
      }}
    }}
  }}, {{
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account}:root"
    }},
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant" ],
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// Checks a policy that a caller gives to a KMS key of `account`. `bypass` skips the lockout check.
pub(crate) fn check(policy: &str, account: &str, caller: &str, bypass: bool) -> Result<(), KmsError> {
    let malformed = |why: &str| KmsError::MalformedPolicy(why.to_owned());
    if policy.len() > POLICY_BYTES_MAX {
        return Err(malformed("The policy is larger than 32768 bytes."));
    }
    let document: Value = serde_json::from_str(policy).map_err(|_| malformed("The policy is not valid JSON."))?;
    if document.get("Version").is_some_and(|version| version != LANGUAGE && version != "2008-10-17") {
        return Err(malformed("The policy names an unknown version of the policy language."));
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(statement @ Value::Object(_)) => std::slice::from_ref(statement),
        _ => return Err(malformed("The policy has no statement.")),
    };
    for statement in statements {
        let effect = statement.get("Effect").and_then(Value::as_str);
        let whole = ["Principal", "NotPrincipal"].iter().any(|member| statement.get(member).is_some())
            && ["Action", "NotAction"].iter().any(|member| statement.get(member).is_some())
            && ["Resource", "NotResource"].iter().any(|member| statement.get(member).is_some());
        if !matches!(effect, Some("Allow" | "Deny")) || !whole {
            return Err(malformed("A statement of the policy lacks Effect, Principal, Action or Resource."));
        }
    }
    if bypass || statements.iter().any(|statement| lets_change_policy(statement, account, caller)) {
        Ok(())
    } else {
        Err(malformed("The new key policy will not allow you to update the key policy in the future."))
    }
}

/// Whether a statement plainly lets the caller, or the account that can delegate to the caller, put a new policy.
fn lets_change_policy(statement: &Value, account: &str, caller: &str) -> bool {
    let root = format!("arn:aws:iam::{account}:root");
    let principals = match statement.get("Principal") {
        Some(Value::String(all)) => vec![all.as_str()],
        Some(Value::Object(kinds)) => kinds.get("AWS").map(texts).unwrap_or_default(),
        _ => Vec::new(),
    };
    let actions = statement.get("Action").map(texts).unwrap_or_default();
    statement.get("Effect").and_then(Value::as_str) == Some("Allow")
        && statement.get("Condition").is_none()
        && principals.iter().any(|name| *name == "*" || *name == root || *name == account || *name == caller)
        && actions.iter().any(|action| matches!(*action, "*" | "kms:*" | "kms:Put*" | "kms:PutKeyPolicy"))
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "arn:aws:iam::000000000001:root";

    /// KMS developer guide, "Default key policy" and "AWS managed keys": both are policies that pass our own check.
    #[test]
    fn the_default_policies_are_well_formed() {
        check(&default_of("000000000001"), "000000000001", ROOT, false).unwrap();
        let managed = of_service("elasticfilesystem", "000000000001", "us-east-1");
        check(&managed, "000000000001", ROOT, true).unwrap();
        assert!(managed.contains("auto-elasticfilesystem-1"));
    }

    /// KMS API, CreateKey, BypassPolicyLockoutSafetyCheck: a policy that locks its author out is refused without it.
    #[test]
    fn a_policy_that_locks_out_is_refused() {
        let policy =
            r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:Encrypt","Resource":"*"}}"#;
        assert!(matches!(check(policy, "000000000001", ROOT, false), Err(KmsError::MalformedPolicy(_))));
        check(policy, "000000000001", ROOT, true).unwrap();
        for broken in ["", "[]", "{}", r#"{"Statement":[]}"#, r#"{"Statement":{"Effect":"Maybe"}}"#] {
            assert!(check(broken, "000000000001", ROOT, true).is_err(), "{broken}");
        }
    }
}
