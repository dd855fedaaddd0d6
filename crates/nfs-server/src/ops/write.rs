//! WRITE: data into a regular file, durable as far as asked. RFC 8881 section 18.32.

use bytes::Bytes;
use filesystem::{AccessMask, Stability};
use nfs_state::IoAccess;
use nfs_wire::nfs4::{StableHow4, Write4Args, Write4Resok};

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, args: Write4Args) -> Result<Write4Resok, NfsError> {
    let object = cx.object()?;
    object.check_regular()?;
    let stateid = cx.stateid(args.stateid)?;
    cx.check_io(&object, &stateid, IoAccess::Write, AccessMask::MODIFY).await?;
    let stability = match args.stable {
        StableHow4::Unstable => Stability::Unstable,
        StableHow4::DataSync => Stability::DataSync,
        StableHow4::FileSync => Stability::FileSync,
    };
    let filesystem = &object.view.served.filesystem;
    // Taken before the write: if buffered data is dropped meanwhile, the client sees another one with its COMMIT.
    let writeverf = filesystem.write_verifier();
    let data = args.data.0;
    // A slice keeps the whole request in memory, of which the write-back budget counts only the slice.
    let data = if data.len() < cx.record_bytes / 2 { Bytes::copy_from_slice(&data) } else { data };
    let written = filesystem.write(&object.cx(), &object.node, args.offset, data, stability).await?;
    let committed = match written.committed {
        Stability::Unstable => StableHow4::Unstable,
        Stability::DataSync => StableHow4::DataSync,
        Stability::FileSync => StableHow4::FileSync,
    };
    Ok(Write4Resok { count: written.count, committed, writeverf })
}
