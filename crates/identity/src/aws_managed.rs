//! AWS's own policies, as far as they speak of services that are here. AWS Managed Policy Reference.
// tidy: table

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_wire::Timestamp;
use aws_wire::sigv4::sha256_hex;
use policy::Malformed;

use crate::managed::{AWS, ManagedPolicy, PolicyVersion};
use crate::policy_text::PolicyText;
use crate::principal::VERSION;
use crate::tags::Tags;

/// Name, description, document.
const POLICIES: &[(&str, &str, &str)] = &[
    (
        "AdministratorAccess",
        "Provides full access to AWS services and resources.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    ),
    (
        "ReadOnlyAccess",
        "Provides read-only access to AWS services and resources.",
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"ReadOnlyActions","Effect":"Allow","Action":["cloudtrail:Describe*","cloudtrail:Get*","cloudtrail:List*","cloudtrail:LookupEvents","cloudwatch:Describe*","cloudwatch:Get*","cloudwatch:List*","ec2:Describe*","ec2:Get*","elasticfilesystem:Describe*","elasticfilesystem:ListTagsForResource","iam:Generate*","iam:Get*","iam:List*","iam:Simulate*","kms:Describe*","kms:Get*","kms:List*","logs:Describe*","logs:FilterLogEvents","logs:Get*","logs:ListTagsForResource","sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken"],"Resource":"*"}]}"#,
    ),
    (
        "AmazonElasticFileSystemFullAccess",
        "Provides full access to Amazon EFS via the AWS Management Console.",
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"ElasticFileSystemFullAccess","Effect":"Allow","Action":["cloudwatch:DescribeAlarmsForMetric","cloudwatch:GetMetricData","ec2:CreateNetworkInterface","ec2:DeleteNetworkInterface","ec2:DescribeAvailabilityZones","ec2:DescribeNetworkInterfaceAttribute","ec2:DescribeNetworkInterfaces","ec2:DescribeSecurityGroups","ec2:DescribeSubnets","ec2:DescribeVpcAttribute","ec2:DescribeVpcs","ec2:ModifyNetworkInterfaceAttribute","elasticfilesystem:*","kms:DescribeKey","kms:ListAliases"],"Resource":"*"},{"Sid":"CreateServiceLinkedRoleForEFS","Effect":"Allow","Action":"iam:CreateServiceLinkedRole","Resource":"*","Condition":{"StringEquals":{"iam:AWSServiceName":["elasticfilesystem.amazonaws.com"]}}}]}"#,
    ),
    (
        "AmazonElasticFileSystemReadOnlyAccess",
        "Provides read only access to Amazon EFS via the AWS Management Console.",
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"ElasticFileSystemReadOnlyAccess","Effect":"Allow","Action":["cloudwatch:DescribeAlarmsForMetric","cloudwatch:GetMetricData","ec2:DescribeAvailabilityZones","ec2:DescribeNetworkInterfaceAttribute","ec2:DescribeNetworkInterfaces","ec2:DescribeSecurityGroups","ec2:DescribeSubnets","ec2:DescribeVpcAttribute","ec2:DescribeVpcs","elasticfilesystem:DescribeAccountPreferences","elasticfilesystem:DescribeBackupPolicy","elasticfilesystem:DescribeFileSystems","elasticfilesystem:DescribeFileSystemPolicy","elasticfilesystem:DescribeLifecycleConfiguration","elasticfilesystem:DescribeMountTargets","elasticfilesystem:DescribeMountTargetSecurityGroups","elasticfilesystem:DescribeTags","elasticfilesystem:DescribeAccessPoints","elasticfilesystem:DescribeReplicationConfigurations","elasticfilesystem:ListTagsForResource","kms:ListAliases"],"Resource":"*"}]}"#,
    ),
    (
        "AmazonElasticFileSystemClientFullAccess",
        "Provides root client access to an Amazon EFS file system.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["elasticfilesystem:ClientMount","elasticfilesystem:ClientRootAccess","elasticfilesystem:ClientWrite","elasticfilesystem:DescribeMountTargets"],"Resource":"*"}]}"#,
    ),
    (
        "AmazonElasticFileSystemClientReadWriteAccess",
        "Provides read and write client access to an Amazon EFS file system.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["elasticfilesystem:ClientMount","elasticfilesystem:ClientWrite","elasticfilesystem:DescribeMountTargets"],"Resource":"*"}]}"#,
    ),
    (
        "AmazonElasticFileSystemClientReadOnlyAccess",
        "Provides read only client access to an Amazon EFS file system.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["elasticfilesystem:ClientMount","elasticfilesystem:DescribeMountTargets"],"Resource":"*"}]}"#,
    ),
    (
        "AWSKeyManagementServicePowerUser",
        "Provides access to AWS Key Management Service (KMS).",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:CreateAlias","kms:CreateKey","kms:DeleteAlias","kms:Describe*","kms:GenerateRandom","kms:Get*","kms:List*","kms:TagResource","kms:UntagResource","iam:ListGroups","iam:ListRoles","iam:ListUsers"],"Resource":"*"}]}"#,
    ),
];

/// All of them by ARN. Their ids are made of their names, so that they are the same everywhere and for ever.
pub(crate) fn all() -> Result<BTreeMap<String, Arc<ManagedPolicy>>, Malformed> {
    let mut all = BTreeMap::new();
    for (name, description, document) in POLICIES {
        let created = Timestamp::from_unix(1_423_267_200, 0);
        let version = PolicyVersion { document: PolicyText::try_from((*document).to_owned())?, created };
        let hash = sha256_hex(name.as_bytes()).to_ascii_uppercase();
        let policy = ManagedPolicy {
            version: VERSION,
            account: AWS.to_owned(),
            id: format!("ANPA{}", hash.get(..17).unwrap_or(&hash)),
            name: (*name).to_owned(),
            path: "/".to_owned(),
            description: Some((*description).to_owned()),
            created,
            updated: created,
            tags: Tags::new(),
            versions: BTreeMap::from([(1, version)]),
            default: 1,
            latest: 1,
        };
        all.insert(policy.arn().to_string(), Arc::new(policy));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{POLICIES, all};
    use crate::policy_text::PolicyText;

    /// AWS Managed Policy Reference: each is a sound identity policy and has an id of its own.
    #[test]
    fn every_document_is_sound() {
        for (name, _, document) in POLICIES {
            PolicyText::for_identity(document).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let all = all().unwrap();
        assert_eq!(all.len(), POLICIES.len());
        assert!(all.contains_key("arn:aws:iam::aws:policy/AmazonElasticFileSystemClientReadWriteAccess"));
    }
}
