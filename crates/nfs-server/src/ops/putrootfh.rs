//! PUTROOTFH: the root of what the caller sees. An access point's root is made here if it is missing and may be made. RFC 8881
//! section 18.21.

use crate::compound::{Compound, Place};
use crate::status::NfsError;

pub(crate) async fn run(cx: &mut Compound, (): ()) -> Result<(), NfsError> {
    let place = match cx.admitted.direct().cloned() {
        None => Place::PseudoRoot,
        Some(id) => {
            let view = cx.admitted.view(&id).await?;
            Place::Object(cx.root_of(&view).await?)
        }
    };
    cx.set_current(place);
    Ok(())
}
