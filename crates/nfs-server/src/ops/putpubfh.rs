//! PUTPUBFH: the public filehandle, here the root. RFC 8881 section 18.20.

use crate::compound::Compound;
use crate::ops::putrootfh;
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, (): ()) -> Result<(), NfsError> {
    putrootfh::run(cx, ()).await
}
