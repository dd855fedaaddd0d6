//! UntagResource: take tags off a file system or access point; one that is not there is no error. EFS API,
//! UntagResource.

use aws_wire::CallContext;

use crate::{Control, ControlError, model};

/// UntagResource.
pub async fn run(control: &Control, cx: &CallContext, input: model::UntagResourceRequest) -> Result<(), ControlError> {
    let turn = control.turn().await;
    let found = control.find_tagged(cx, &input.resource_id)?;
    let kept = found.tags().iter().filter(|tag| !input.tag_keys.contains(&tag.key)).cloned().collect();
    found.set(&turn, kept).await
}
