//! SAVEFH: the current filehandle is kept, with its stateid. RFC 8881 section 18.28.

use crate::compound::Compound;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, (): ()) -> Result<(), NfsError> {
    cx.save();
    Ok(())
}
