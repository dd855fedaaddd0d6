//! What the ARNs of an action's resources look like: `EvalResourceName` of a simulation. Service Authorization Reference,
//! "Resource types defined by" KMS, Elastic File System, IAM and STS.
// tidy: table

/// Service, resource type in the member or action names that speak of it, template.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("kms", "Alias", "arn:${Partition}:kms:${Region}:${Account}:alias/${Alias}"),
    ("kms", "", "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}"),
    (
        "elasticfilesystem",
        "AccessPoint",
        "arn:${Partition}:elasticfilesystem:${Region}:${Account}:access-point/${AccessPointId}",
    ),
    ("elasticfilesystem", "", "arn:${Partition}:elasticfilesystem:${Region}:${Account}:file-system/${FileSystemId}"),
    ("iam", "Role", "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}"),
    ("iam", "Group", "arn:${Partition}:iam::${Account}:group/${GroupNameWithPath}"),
    ("iam", "User", "arn:${Partition}:iam::${Account}:user/${UserNameWithPath}"),
    ("iam", "AccessKey", "arn:${Partition}:iam::${Account}:user/${UserNameWithPath}"),
    ("iam", "OpenIDConnectProvider", "arn:${Partition}:iam::${Account}:oidc-provider/${OidcProviderName}"),
    ("iam", "Policy", "arn:${Partition}:iam::${Account}:policy/${PolicyNameWithPath}"),
    ("sts", "AssumeRole", "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}"),
];

/// Actions without a resource type.
const OF_NO_RESOURCE: &[&str] = &[
    "kms:ConnectCustomKeyStore",
    "kms:CreateCustomKeyStore",
    "kms:CreateKey",
    "kms:DeleteCustomKeyStore",
    "kms:DescribeCustomKeyStores",
    "kms:DisconnectCustomKeyStore",
    "kms:GenerateRandom",
    "kms:ListAliases",
    "kms:ListKeys",
    "kms:ListRetirableGrants",
    "kms:UpdateCustomKeyStore",
    "elasticfilesystem:CreateFileSystem",
    "elasticfilesystem:DescribeAccountPreferences",
    "elasticfilesystem:PutAccountPreferences",
    "iam:GetContextKeysForCustomPolicy",
    "iam:ListGroups",
    "iam:ListOpenIDConnectProviders",
    "iam:ListPolicies",
    "iam:ListRoles",
    "iam:ListUsers",
    "iam:SimulateCustomPolicy",
];

/// The template of an action's resources; `*` for one that has none.
pub(crate) fn of(action: &str) -> &'static str {
    if OF_NO_RESOURCE.iter().any(|none| none.eq_ignore_ascii_case(action)) {
        return "*";
    }
    let Some((service, name)) = action.split_once(':') else { return "*" };
    let name = name.to_ascii_lowercase();
    let found = TEMPLATES.iter().find(|(of, about, _)| {
        of.eq_ignore_ascii_case(service) && (about.is_empty() || name.contains(&about.to_ascii_lowercase()))
    });
    found.map_or("*", |(_, _, template)| template)
}

#[cfg(test)]
mod tests {
    /// Service Authorization Reference: the resource types of some actions.
    #[test]
    fn actions_have_the_resources_of_the_reference() {
        for (action, template) in [
            ("kms:Decrypt", "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}"),
            ("kms:CreateAlias", "arn:${Partition}:kms:${Region}:${Account}:alias/${Alias}"),
            ("kms:listaliases", "*"),
            ("elasticfilesystem:ClientMount", super::TEMPLATES[3].2),
            ("elasticfilesystem:DeleteAccessPoint", super::TEMPLATES[2].2),
            ("iam:AttachRolePolicy", "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}"),
            ("iam:GetPolicyVersion", "arn:${Partition}:iam::${Account}:policy/${PolicyNameWithPath}"),
            ("iam:ListUsers", "*"),
            ("s3:GetObject", "*"),
            ("nonsense", "*"),
        ] {
            assert_eq!(super::of(action), template, "{action}");
        }
    }
}
