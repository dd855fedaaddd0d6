//! The pseudo-root: one directory for each file system that the caller may mount, named by its id. Read-only, made up on the
//! spot. Architecture section 2.3.

use filesystem::{Attributes, Device, Kind, Statistics, WallTime};
use nfs_wire::nfs4::Fsid4;
use nfs_wire::{Attribute, Bitmap4, Fattr4};

use crate::attributes::{Constants, Subject, read, read_error};
use crate::compound::Compound;
use crate::shared::Shared;
use crate::status::NfsError;
use crate::view::{Object, View};
use std::sync::Arc;

/// The pseudo-root's own fileid.
const FILEID: u64 = 1;

/// Calls `f` with the pseudo-root's attributes.
pub(crate) fn attributes<T>(shared: &Shared, f: impl FnOnce(&Subject<'_>) -> T) -> T {
    let limits = &shared.limits;
    let constants = Constants {
        fsid: Fsid4 { major: 0, minor: 1 },
        lease_seconds: limits.lease_seconds,
        file_bytes_max: 0,
        links_max: 1,
        name_bytes_max: 255,
        io_bytes_max: limits.io_bytes_max,
    };
    let epoch = WallTime { seconds: 0, nanoseconds: 0 };
    let attributes = Attributes {
        kind: Kind::Directory,
        mode: 0o555,
        uid: 0,
        gid: 0,
        links: 2,
        size: 4096,
        space_used: 0,
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
        btime: epoch,
        // What a caller may mount changes without notice: the list must not be cached for long.
        change: shared.env.now().nanoseconds(),
        fileid: FILEID,
        generation: 0,
        device: Device::default(),
    };
    let statistics = || Statistics {
        bytes_total: 0,
        bytes_free: 0,
        bytes_available: 0,
        files_total: 0,
        files_free: 0,
        metered_bytes: 0,
        objects: 0,
    };
    let handle = crate::handle::pseudo_root();
    f(&Subject {
        attributes: &attributes,
        handle: &handle,
        constants: &constants,
        statistics: &statistics,
        mounted_on: FILEID,
    })
}

/// The attributes of an entry: those of the file system's root, or why they cannot be read.
pub(crate) async fn entry(cx: &mut Compound, view: &Arc<View>, asked: &Bitmap4) -> Result<Fattr4, NfsError> {
    let seen = cx.seen(view);
    let read = async {
        let node = view.root(&seen.watermark).await?;
        let handle = cx.admitted.wire_handle(view, &node)?;
        let object = Object { view: Arc::clone(view), seen: Arc::clone(&seen), node };
        object.subject(&handle, |subject| read(asked, subject)).await
    };
    match read.await {
        Ok(attributes) => Ok(attributes),
        // One file system's trouble must not hide the others.
        Err(error) => match error.status() {
            Some(status) if asked.contains(Attribute::RdattrError) => Ok(read_error(status)),
            _ => Err(error),
        },
    }
}
