//! The actions, one file each, named as the API names them. EFS API Reference, 2015-02-01.

pub mod create_access_point;
pub mod create_file_system;
pub mod create_mount_target;
pub mod delete_access_point;
pub mod delete_file_system;
pub mod delete_mount_target;
pub mod describe_access_points;
pub mod describe_account_preferences;
pub mod describe_backup_policy;
pub mod describe_file_system_policy;
pub mod describe_file_systems;
pub mod describe_lifecycle_configuration;
pub mod describe_mount_target_security_groups;
pub mod describe_mount_targets;
pub mod describe_replication_configurations;
pub mod describe_tags;
pub mod list_tags_for_resource;
pub mod modify_mount_target_security_groups;
pub mod tag_resource;
pub mod untag_resource;
