//! RESTOREFH: the saved filehandle, with its stateid, becomes the current one. RFC 8881 section 18.27.

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, (): ()) -> Result<(), NfsError> {
    cx.restore()
}
