//! What can be wrong with a control-plane request, named by the condition. [`crate::aws_error`] says what the caller
//! sees.

use storage::StorageError;

use crate::ProvisionError;

/// Why a control-plane action did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A value or a combination that the model's shapes cannot forbid.
    #[error("{0}")]
    BadRequest(String),
    /// No such file system.
    #[error("File system '{0}' does not exist.")]
    FileSystemNotFound(String),
    /// The creation token is taken by this file system.
    #[error("File system with {token} already exists.")]
    FileSystemAlreadyExists {
        /// The token.
        token: String,
        /// The file system that has it.
        id: String,
    },
    /// The file system still has mount targets.
    #[error("{0}")]
    FileSystemInUse(String),
    /// The account has as many file systems as it may.
    #[error("The account has reached the maximum number of file systems ({0}).")]
    FileSystemLimitExceeded(usize),
    /// The file system is not `available`.
    #[error("File system '{id}' is {state}, not available.")]
    FileSystemState {
        /// The file system.
        id: String,
        /// Its state.
        state: &'static str,
    },
    /// More throughput than there is.
    #[error("Provisioned throughput is at most {0} MiB/s.")]
    ThroughputLimitExceeded(u32),
    /// No such Availability Zone here.
    #[error("Availability Zone '{0}' is not one of this installation's.")]
    UnsupportedAvailabilityZone(String),
    /// The subnet is in another zone than the One Zone file system.
    #[error("The subnet is in {subnet}, the file system in {file_system}.")]
    AvailabilityZonesMismatch {
        /// The subnet's zone.
        subnet: String,
        /// The file system's zone.
        file_system: String,
    },
    /// No such mount target.
    #[error("Mount target '{0}' does not exist.")]
    MountTargetNotFound(String),
    /// A mount target there would be a second one in its zone, or in another VPC.
    #[error("{0}")]
    MountTargetConflict(&'static str),
    /// The mount target is not in a state for this.
    #[error("Mount target '{0}' is not available.")]
    MountTargetState(String),
    /// No such subnet.
    #[error("The subnet ID '{0}' does not exist")]
    SubnetNotFound(String),
    /// Every address of the subnet is taken.
    #[error("The subnet '{0}' has no free addresses.")]
    NoFreeAddresses(String),
    /// Another mount target has the address.
    #[error("The IP address {0} is in use.")]
    IpAddressInUse(String),
    /// More security groups than a mount target takes.
    #[error("The maximum number of security groups per interface has been reached.")]
    SecurityGroupLimitExceeded,
    /// No such security group.
    #[error("The security group '{0}' does not exist")]
    SecurityGroupNotFound(String),
    /// No such access point.
    #[error("Access Point {0} does not exist.")]
    AccessPointNotFound(String),
    /// The client token is taken by this access point.
    #[error("Access point already exists with ClientToken {token}.")]
    AccessPointAlreadyExists {
        /// The token.
        token: String,
        /// The access point that has it.
        id: String,
    },
    /// The file system has as many access points as it may.
    #[error("The file system has reached the maximum number of access points ({0}).")]
    AccessPointLimitExceeded(usize),
    /// No policy was set, so the default is in force.
    #[error("No policy is set for file system '{0}'; the default policy is in effect.")]
    PolicyNotFound(String),
    /// The file system is not replicated.
    #[error("File system '{0}' has no replication configuration.")]
    ReplicationNotFound(String),
    /// KMS refused the KMS key; its reason.
    #[error("The KMS key cannot be used: {0}")]
    KeyRefused(String),
    /// KMS cannot answer now.
    #[error("KMS is not available: {0}")]
    KeysUnavailable(String),
    /// The file service did not do it.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// The records cannot be read or written.
    #[error("the control records are not available: {0}")]
    Storage(#[from] StorageError),
    /// A record of ours does not open or does not make sense.
    #[error("a control record is damaged: {0}")]
    Damaged(String),
}
