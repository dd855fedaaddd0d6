//! READ: data of a regular file. RFC 8881 section 18.22.

use std::sync::Arc;

use filesystem::AccessMask;
use nfs_state::IoAccess;
use nfs_wire::nfs4::{Read4Args, Read4Resok};
use nfs_wire::{NfsStat4, Payload};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Read4Args) -> Result<Read4Resok, NfsError> {
    let object = cx.object()?;
    object.check_regular()?;
    let stateid = cx.stateid(args.stateid)?;
    cx.check_io(&object, &stateid, IoAccess::Read, AccessMask::READ).await?;
    let count = args.count.min(cx.shared.limits.io_bytes_max);
    let filesystem = &object.view.served.filesystem;
    let read = filesystem.read(&object.cx(), &object.node, args.offset, count).await?;
    // The key may be withdrawn while the data is on its way, up to the end of the compound, which asks again.
    if !filesystem.lease_valid(read.lease) {
        return Err(NfsStat4::Delay.into());
    }
    cx.leases.push((Arc::clone(&object.seen), read.lease));
    Ok(Read4Resok { eof: read.eof, data: Payload(read.data) })
}
