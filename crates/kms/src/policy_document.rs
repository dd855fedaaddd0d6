//! Key policies: the default ones, and what is checked of one that is given. KMS developer guide, "Key policies".

use aws_wire::CallContext;
use policy::{Conditions, Document};

use crate::record::KeyRecord;
use crate::{EncryptionContext, Kms, KmsError};

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

/// Reads a policy that a caller gives to a KMS key.
///
/// # Errors
/// [`KmsError::MalformedPolicy`] where it is too long, is no policy, or has a statement that names nobody or nothing.
pub(crate) fn read(policy: &str) -> Result<Document, KmsError> {
    let malformed = |why: &str| KmsError::MalformedPolicy(why.to_owned());
    if policy.len() > POLICY_BYTES_MAX {
        return Err(malformed("The policy is larger than 32768 bytes."));
    }
    let document = Document::parse(policy).map_err(|error| KmsError::MalformedPolicy(error.to_string()))?;
    for statement in &document.statements {
        if statement.principals.is_none() || statement.resources.is_none() {
            return Err(malformed("A statement of the policy lacks Principal or Resource."));
        }
    }
    Ok(document)
}

impl Kms {
    /// The lockout check: whoever puts a policy must be able to put another one under it. KMS API, PutKeyPolicy,
    /// BypassPolicyLockoutSafetyCheck.
    pub(crate) fn check_lockout(&self, cx: &CallContext, key: &KeyRecord, document: &Document) -> Result<(), KmsError> {
        let facts = Conditions::of_call(cx);
        self.rule(cx, key, "PutKeyPolicy", &EncryptionContext::default(), facts, document).map_err(|_| {
            KmsError::MalformedPolicy(
                "The new key policy will not allow you to update the key policy in the future.".to_owned(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KMS developer guide, "Default key policy" and "AWS managed keys": both are policies that pass our own check.
    #[test]
    fn the_default_policies_are_well_formed() {
        read(&default_of("000000000001")).unwrap();
        let managed = of_service("elasticfilesystem", "000000000001", "us-east-1");
        assert_eq!(read(&managed).unwrap().id.as_deref(), Some("auto-elasticfilesystem-1"));
    }

    /// KMS API, PutKeyPolicy, MalformedPolicyDocumentException.
    #[test]
    fn what_is_no_key_policy_is_refused() {
        let long = format!(r#"{{"Statement":[],"Id":"{}"}}"#, "x".repeat(POLICY_BYTES_MAX));
        for broken in [
            "",
            "[]",
            "{}",
            r#"{"Statement":[]}"#,
            r#"{"Statement":{"Effect":"Maybe"}}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}"#,
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*"}}"#,
            &long,
        ] {
            assert!(matches!(read(broken), Err(KmsError::MalformedPolicy(_))), "{broken}");
        }
    }
}
