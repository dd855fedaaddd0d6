//! What a caller sees of each [`ControlError`]: code, HTTP status, text, extra members. EFS API Reference, each action.

use aws_wire::ApiError;

use crate::ControlError;
use crate::model::errors;

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let text = error.to_string();
        match error {
            ControlError::BadRequest(_) => Self::of(&errors::BAD_REQUEST, text),
            ControlError::FileSystemNotFound(_) => Self::of(&errors::FILE_SYSTEM_NOT_FOUND, text),
            ControlError::FileSystemAlreadyExists { id, .. } => {
                Self::of(&errors::FILE_SYSTEM_ALREADY_EXISTS, text).with("FileSystemId", id)
            }
            ControlError::FileSystemInUse(_) => Self::of(&errors::FILE_SYSTEM_IN_USE, text),
            ControlError::FileSystemLimitExceeded(_) => Self::of(&errors::FILE_SYSTEM_LIMIT_EXCEEDED, text),
            ControlError::FileSystemState { .. } => Self::of(&errors::INCORRECT_FILE_SYSTEM_LIFE_CYCLE_STATE, text),
            ControlError::ThroughputLimitExceeded(_) => Self::of(&errors::THROUGHPUT_LIMIT_EXCEEDED, text),
            ControlError::UnsupportedAvailabilityZone(_) => Self::of(&errors::UNSUPPORTED_AVAILABILITY_ZONE, text),
            ControlError::AvailabilityZonesMismatch { .. } => Self::of(&errors::AVAILABILITY_ZONES_MISMATCH, text),
            ControlError::MountTargetNotFound(_) => Self::of(&errors::MOUNT_TARGET_NOT_FOUND, text),
            ControlError::MountTargetConflict(_) => Self::of(&errors::MOUNT_TARGET_CONFLICT, text),
            ControlError::MountTargetState(_) => Self::of(&errors::INCORRECT_MOUNT_TARGET_STATE, text),
            ControlError::SubnetNotFound(_) => Self::of(&errors::SUBNET_NOT_FOUND, text),
            ControlError::NoFreeAddresses(_) => Self::of(&errors::NO_FREE_ADDRESSES_IN_SUBNET, text),
            ControlError::IpAddressInUse(_) => Self::of(&errors::IP_ADDRESS_IN_USE, text),
            ControlError::SecurityGroupLimitExceeded => Self::of(&errors::SECURITY_GROUP_LIMIT_EXCEEDED, text),
            ControlError::SecurityGroupNotFound(_) => Self::of(&errors::SECURITY_GROUP_NOT_FOUND, text),
            ControlError::AccessPointNotFound(_) => Self::of(&errors::ACCESS_POINT_NOT_FOUND, text),
            ControlError::AccessPointAlreadyExists { id, .. } => {
                Self::of(&errors::ACCESS_POINT_ALREADY_EXISTS, text).with("AccessPointId", id)
            }
            ControlError::AccessPointLimitExceeded(_) => Self::of(&errors::ACCESS_POINT_LIMIT_EXCEEDED, text),
            ControlError::PolicyNotFound(_) => Self::of(&errors::POLICY_NOT_FOUND, text),
            ControlError::ReplicationNotFound(_) => Self::of(&errors::REPLICATION_NOT_FOUND, text),
            // The model has no code for a bad KMS key; it is the request that names it.
            ControlError::KeyRefused(_) => Self::of(&errors::BAD_REQUEST, text),
            ControlError::KeysUnavailable(cause) => {
                tracing::error!(%cause, "KMS is not available");
                Self::of(&errors::INTERNAL_SERVER_ERROR, "KMS is unavailable; try again later.")
            }
            ControlError::Provision(cause) => {
                tracing::error!(%cause, "the file service failed");
                Self::of(&errors::INTERNAL_SERVER_ERROR, "The file service failed; see the server's log.")
            }
            ControlError::Storage(cause) => {
                tracing::error!(%cause, "control records are not available");
                Self::of(&errors::INTERNAL_SERVER_ERROR, "The control records are not available; try again later.")
            }
            ControlError::Damaged(cause) => {
                tracing::error!(%cause, "a control record is damaged");
                Self::of(&errors::INTERNAL_SERVER_ERROR, "A control record cannot be read; see the server's log.")
            }
        }
    }
}
