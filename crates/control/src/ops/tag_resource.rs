//! TagResource: add or overwrite tags of a file system or access point. EFS API, TagResource.

use aws_wire::CallContext;

use crate::{Control, ControlError, model, tags};

/// TagResource.
pub async fn run(control: &Control, cx: &CallContext, input: model::TagResourceRequest) -> Result<(), ControlError> {
    let turn = control.turn().await;
    let found = control.find_tagged(cx, &input.resource_id)?;
    let tags = tags::add(found.tags().to_vec(), input.tags)?;
    found.set(&turn, tags).await
}
