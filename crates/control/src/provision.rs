//! What the control plane asks of the file service itself.

use storage::BoxFuture;

use crate::{FileSystem, MountTarget};

/// Why the file service did not do it. The control plane tries again; the reason is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProvisionError(pub String);

/// The metered size of a file system. EFS user guide, "Metering file systems".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes.
    pub bytes: u64,
    /// When it was determined, in seconds since 1970.
    pub seconds: i64,
}

/// Storage of file systems. Each call may come again after a crash and then finds part of its work done.
pub trait Provision: Send + Sync {
    /// Makes the empty file system. Its data keys exist.
    fn create<'a>(&'a self, file_system: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>>;

    /// Closes it and removes all of its storage; gone before is gone.
    fn destroy<'a>(&'a self, file_system: &'a FileSystem) -> BoxFuture<'a, Result<(), ProvisionError>>;

    /// Its size; none if that is not known without opening it.
    fn size<'a>(&'a self, file_system: &'a str) -> BoxFuture<'a, Option<Size>>;
}

/// The addresses on which clients reach file systems.
pub trait Network: Send + Sync {
    /// Begins to accept clients at the mount target's address.
    fn attach<'a>(&'a self, mount_target: &'a MountTarget) -> BoxFuture<'a, Result<(), ProvisionError>>;

    /// Stops accepting there and cuts the connections that exist; stopped before is stopped.
    fn detach<'a>(&'a self, mount_target: &'a MountTarget) -> BoxFuture<'a, Result<(), ProvisionError>>;
}
