//! DeleteMountTarget: the address is given up and its connections are cut. EFS API, DeleteMountTarget.

use aws_wire::CallContext;

use crate::record::{Lifecycle, MountTarget};
use crate::state::Edit;
use crate::{Control, ControlError, model};

/// DeleteMountTarget.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DeleteMountTargetRequest,
) -> Result<(), ControlError> {
    let turn = control.turn().await;
    let found = control.find_mount_target(cx, &input.mount_target_id)?;
    if found.state != Lifecycle::Deleting {
        let deleting = MountTarget { state: Lifecycle::Deleting, ..(*found).clone() };
        let id = found.id.clone();
        turn.write_then(vec![Edit::PutMountTarget(deleting)], move |control| control.drive_mount_target(&id)).await?;
    }
    Ok(())
}
