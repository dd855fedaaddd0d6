//! The descriptions of resources, as the Create and Describe actions answer them. EFS API, FileSystemDescription,
//! MountTargetDescription, AccessPointDescription.

use aws_wire::Timestamp;

use crate::control::Control;
use crate::record::{AccessPoint, FileSystem, Lifecycle, MountTarget, Throughput};
use crate::{model, tags};

/// EFS user guide, "Metering": a new file system is its root directory.
const EMPTY_BYTES: i64 = 6144;

pub(crate) fn state(of: Lifecycle) -> model::LifeCycleState {
    match of {
        Lifecycle::Preparing | Lifecycle::Creating => model::LifeCycleState::Creating,
        Lifecycle::Available => model::LifeCycleState::Available,
        Lifecycle::Deleting => model::LifeCycleState::Deleting,
        Lifecycle::Error => model::LifeCycleState::Error,
    }
}

pub(crate) async fn file_system(control: &Control, of: &FileSystem) -> model::FileSystemDescription {
    let size = match of.state {
        Lifecycle::Available => control.parts().provision.size(&of.id).await,
        Lifecycle::Preparing | Lifecycle::Creating | Lifecycle::Deleting | Lifecycle::Error => None,
    };
    let bytes = size.map_or(EMPTY_BYTES, |size| i64::try_from(size.bytes).unwrap_or(i64::MAX));
    let targets = control.read(|state| state.mount_targets_of(&of.id).count());
    let (mode, provisioned) = match of.throughput {
        Throughput::Bursting => (model::ThroughputMode::Bursting, None),
        Throughput::Provisioned(rate) => (model::ThroughputMode::Provisioned, Some(rate)),
        Throughput::Elastic => (model::ThroughputMode::Elastic, None),
    };
    model::FileSystemDescription {
        availability_zone_id: of.zone.as_ref().map(|zone| zone.id.clone()),
        availability_zone_name: of.zone.as_ref().map(|zone| zone.name.clone()),
        creation_time: Timestamp::from_unix(of.created, 0),
        creation_token: of.creation_token.clone(),
        encrypted: Some(of.encrypted),
        file_system_arn: Some(of.arn()),
        file_system_id: of.id.clone(),
        file_system_protection: Some(model::FileSystemProtectionDescription {
            replication_overwrite_protection: Some(model::ReplicationOverwriteProtection::Enabled),
        }),
        // Without encryption there is no customer key to name; the service's own is used and not shown.
        kms_key_id: of.data_grant.as_ref().filter(|_| of.encrypted).map(|grant| grant.key_arn.clone()),
        life_cycle_state: state(of.state),
        name: tags::name(&of.tags),
        number_of_mount_targets: i32::try_from(targets).unwrap_or(i32::MAX),
        owner_id: of.account.clone(),
        performance_mode: if of.max_io {
            model::PerformanceMode::MaxIo
        } else {
            model::PerformanceMode::GeneralPurpose
        },
        provisioned_throughput_in_mibps: provisioned,
        size_in_bytes: model::FileSystemSize {
            timestamp: size.map(|size| Timestamp::from_unix(size.seconds, 0)),
            value: bytes,
            value_in_archive: Some(0),
            value_in_ia: Some(0),
            value_in_standard: Some(bytes),
        },
        tags: tags::shown(&of.tags),
        throughput_mode: Some(mode),
    }
}

pub(crate) fn mount_target(of: &MountTarget) -> model::MountTargetDescription {
    model::MountTargetDescription {
        availability_zone_id: Some(of.zone.id.clone()),
        availability_zone_name: Some(of.zone.name.clone()),
        file_system_id: of.file_system.clone(),
        ip_address: Some(of.address.to_string()),
        ipv6_address: None,
        life_cycle_state: state(of.state),
        mount_target_id: of.id.clone(),
        network_interface_id: Some(of.interface.clone()),
        owner_id: Some(of.account.clone()),
        subnet_id: of.subnet.clone(),
        vpc_id: Some(of.vpc.clone()),
    }
}

pub(crate) fn access_point(of: &AccessPoint) -> model::AccessPointDescription {
    model::AccessPointDescription {
        access_point_arn: Some(of.arn()),
        access_point_id: Some(of.id.clone()),
        client_token: Some(of.client_token.clone()),
        file_system_id: Some(of.file_system.clone()),
        // It is usable from its first moment: its root directory is made by the first client.
        life_cycle_state: Some(model::LifeCycleState::Available),
        name: tags::name(&of.tags),
        owner_id: Some(of.account.clone()),
        posix_user: of.posix_user.as_ref().map(|user| model::PosixUser {
            gid: i64::from(user.gid),
            secondary_gids: (!user.secondary_gids.is_empty())
                .then(|| user.secondary_gids.iter().map(|gid| i64::from(*gid)).collect()),
            uid: i64::from(user.uid),
        }),
        root_directory: Some(model::RootDirectory {
            creation_info: of.creation_info.as_ref().map(|info| model::CreationInfo {
                owner_gid: i64::from(info.owner_gid),
                owner_uid: i64::from(info.owner_uid),
                permissions: info.permissions.clone(),
            }),
            path: Some(of.path.clone()),
        }),
        tags: Some(tags::shown(&of.tags)),
    }
}
