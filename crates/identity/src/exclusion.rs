//! What a simulation leaves out. IAM API, SimulatePrincipalPolicy, PolicyExclusionList; `PolicyIdentifier`.

use aws_wire::Arn;

use crate::IdentityError;
use crate::attached::Origin;
use crate::model::iam::{InlinePolicyIdentifierType, PolicyIdentifier, PolicyIdentifierPolicyType};

/// One entry of the list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Exclusion<'a> {
    /// All inline policies.
    Inline,
    /// All managed policies of AWS (`true`) or of accounts.
    Managed(bool),
    /// The permissions boundary.
    Boundary,
    /// Policies of organisations: there are none here, so nothing is left out.
    Organizations,
    /// The managed policies whose ARN fits.
    Arn(&'a str),
    /// The inline policy of this name on this user, group or role.
    Named(&'a InlinePolicyIdentifierType),
}

impl<'a> Exclusion<'a> {
    /// Reads the list.
    pub(crate) fn read(list: Option<&'a [PolicyIdentifier]>) -> Result<Vec<Self>, IdentityError> {
        list.unwrap_or_default().iter().map(Self::read_one).collect()
    }

    fn read_one(identifier: &'a PolicyIdentifier) -> Result<Self, IdentityError> {
        let PolicyIdentifier { policy_type, policy_arn, inline_policy_identifier } = identifier;
        match (policy_type, policy_arn, inline_policy_identifier) {
            (Some(kind), None, None) => Ok(match kind {
                PolicyIdentifierPolicyType::Inline => Self::Inline,
                PolicyIdentifierPolicyType::AwsManaged => Self::Managed(true),
                PolicyIdentifierPolicyType::UserManaged => Self::Managed(false),
                PolicyIdentifierPolicyType::PermissionBoundary => Self::Boundary,
                PolicyIdentifierPolicyType::Scp | PolicyIdentifierPolicyType::Rcp => Self::Organizations,
            }),
            (None, Some(arn), None) => {
                // Wildcards stand in the policy's path and name alone.
                let parsed = Arn::parse(arn).filter(|arn| arn.service == "iam");
                let name = parsed.as_ref().and_then(|arn| arn.resource.strip_prefix("policy/"));
                match name {
                    Some(name) if name.matches('*').count() <= 1 => Ok(Self::Arn(arn)),
                    _ => Err(invalid(format!("{arn} is not the ARN of a managed policy with at most one *"))),
                }
            }
            (None, None, Some(inline)) => Ok(Self::Named(inline)),
            _ => Err(invalid("exactly one of PolicyType, PolicyArn and InlinePolicyIdentifier is needed".to_owned())),
        }
    }

    /// Whether an identity-based policy is left out.
    pub(crate) fn covers(&self, origin: Origin<'_>) -> bool {
        match (self, origin) {
            (Self::Inline, Origin::Inline(..)) => true,
            (Self::Managed(aws), Origin::Managed(policy)) => policy.is_aws() == *aws,
            (Self::Arn(pattern), Origin::Managed(policy)) => policy::matches(pattern, &policy.arn().to_string()),
            (Self::Named(wanted), Origin::Inline(principal, name)) => {
                wanted.policy_name == name
                    && wanted.attachment_type.as_str() == principal.kind().word()
                    // The name's pattern in the model leaves no wildcard through, whatever its text says.
                    && wanted.attachment_name == principal.name
            }
            (Self::Inline | Self::Managed(_) | Self::Boundary | Self::Organizations, _)
            | (Self::Arn(_), Origin::Inline(..))
            | (Self::Named(_), Origin::Managed(_)) => false,
        }
    }
}

fn invalid(text: String) -> IdentityError {
    IdentityError::InvalidInput(format!("PolicyExclusionList: {text}."))
}
