//! DescribeMountTargetSecurityGroups. EFS API, DescribeMountTargetSecurityGroups.

use aws_wire::CallContext;

use crate::record::Lifecycle;
use crate::{Control, ControlError, model};

/// DescribeMountTargetSecurityGroups.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DescribeMountTargetSecurityGroupsRequest,
) -> Result<model::DescribeMountTargetSecurityGroupsResponse, ControlError> {
    let found = control.find_mount_target(cx, &input.mount_target_id)?;
    if found.state == Lifecycle::Deleting {
        return Err(ControlError::MountTargetState(found.id.clone()));
    }
    Ok(model::DescribeMountTargetSecurityGroupsResponse { security_groups: found.security_groups.clone() })
}
