//! READLINK: where a symbolic link points. RFC 8881 section 18.24.

use filesystem::Kind;
use nfs_wire::NfsStat4;
use nfs_wire::nfs4::Linktext4;

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, (): ()) -> Result<Linktext4, NfsError> {
    let object = cx.object_or(NfsStat4::WrongType)?;
    if object.node.kind() != Kind::Symlink {
        return Err(NfsStat4::WrongType.into());
    }
    let target = object.view.served.filesystem.readlink(&object.cx(), &object.node).await?;
    Linktext4::new(target).map_err(|_| NfsStat4::Serverfault.into())
}
