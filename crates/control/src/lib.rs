//! The control plane: file systems, mount targets, access points, their tags and their life cycles.
//!
//! The actions are in [`ops`], one file each. Nothing here knows of NFS or of how keys work inside: what it needs is in
//! the traits [`DataKeys`], [`Provision`] and [`Network`], and whoever joins the house implements them.

mod attachment;
mod aws_error;
mod control;
mod data_keys;
mod describe;
mod error;
mod lifecycle;
pub mod model;
pub mod ops;
mod page;
mod provision;
mod record;
mod resolve;
mod state;
mod subnets;
mod tags;
mod work;

pub use control::{Control, Parts};
pub use data_keys::{CONTEXT_NAME, DataKeys, DataKeysError, KeyChoice, KeyGrant, KeyPurpose, Scope};
pub use error::ControlError;
pub use provision::{Network, Provision, ProvisionError, Size};
pub use record::{AccessPoint, CreationInfo, FileSystem, Lifecycle, MountTarget, PosixUser, Tag, Throughput, Zone};
pub use subnets::{Subnet, SubnetError, Subnets};
