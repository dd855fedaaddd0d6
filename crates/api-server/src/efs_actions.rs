//! The rows of EFS: action, handler, class, resource. EFS API Reference, 2015-02-01.

use aws_wire::{ApiError, Arn, CallContext};
use control::{Control, model, ops};

use crate::action::{ServiceActions, rows};

/// The rows over a control plane.
pub fn efs(control: Control) -> ServiceActions {
    let actions = rows! { control: model, ops;
    //  action                              file                                class   resource
        "CreateAccessPoint"                 create_access_point                 Mutate  ["FileSystemId"];
        "CreateFileSystem"                  create_file_system                  Mutate  [];
        "CreateMountTarget"                 create_mount_target                 Mutate  ["FileSystemId"];
        "DeleteAccessPoint"                 delete_access_point                 Mutate  ["AccessPointId"];
        "DeleteFileSystem"                  delete_file_system                  Mutate  ["FileSystemId"];
        "DeleteMountTarget"                 delete_mount_target                 Mutate  ["MountTargetId"];
        "DescribeAccessPoints"              describe_access_points              Read    ["AccessPointId", "FileSystemId"];
        "DescribeAccountPreferences"        describe_account_preferences        Read    [];
        "DescribeBackupPolicy"              describe_backup_policy              Read    ["FileSystemId"];
        "DescribeFileSystemPolicy"          describe_file_system_policy         Read    ["FileSystemId"];
        "DescribeFileSystems"               describe_file_systems               Read    ["FileSystemId"];
        "DescribeLifecycleConfiguration"    describe_lifecycle_configuration    Read    ["FileSystemId"];
        "DescribeMountTargetSecurityGroups" describe_mount_target_security_groups Read  ["MountTargetId"];
        "DescribeMountTargets"              describe_mount_targets              Read    ["FileSystemId", "MountTargetId", "AccessPointId"];
        "DescribeReplicationConfigurations" describe_replication_configurations Read    ["FileSystemId"];
        "DescribeTags"                      describe_tags                       Read    ["FileSystemId"];
        "ListTagsForResource"               list_tags_for_resource              Read    ["ResourceId"];
        "ModifyMountTargetSecurityGroups"   modify_mount_target_security_groups Mutate  ["MountTargetId"];
        "TagResource"                       tag_resource                        Mutate  ["ResourceId"];
        "UntagResource"                     untag_resource                      Mutate  ["ResourceId"];
    };
    ServiceActions {
        service: &model::SERVICE,
        event_source: "elasticfilesystem.amazonaws.com",
        event_version: Some("2015-02-01"),
        arn,
        locate: None,
        global: false,
        resource_kind: "AWS::EFS::FileSystem",
        decides: false,
        actions,
        refuse: |name| {
            // The model has no code for this; each of its operations may answer BadRequest.
            ApiError::of(&model::errors::BAD_REQUEST, format!("{name} is not supported by this server."))
        },
    }
}

/// An id or an ARN as an ARN; mount targets have none of their own, so a permission on them is one on file systems.
fn arn(cx: &CallContext, named: Option<&str>) -> Arn {
    let here = |resource: String| Arn::new("elasticfilesystem", &cx.region, &cx.account, resource);
    match named {
        Some(text) if text.starts_with("arn:") => Arn::parse(text).unwrap_or_else(|| here("file-system/*".to_owned())),
        Some(text) if text.starts_with("fsap-") => here(format!("access-point/{text}")),
        Some(text) if text.starts_with("fs-") => here(format!("file-system/{text}")),
        Some(_) | None => here("file-system/*".to_owned()),
    }
}
