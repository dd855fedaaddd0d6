//! ModifyMountTargetSecurityGroups: replaces them all; each VPC here has its default group only. EFS API,
//! ModifyMountTargetSecurityGroups.

use aws_wire::CallContext;

use super::create_mount_target::check_security_groups;
use crate::record::{Lifecycle, MountTarget};
use crate::state::Edit;
use crate::subnets::default_security_group;
use crate::{Control, ControlError, model};

/// ModifyMountTargetSecurityGroups.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::ModifyMountTargetSecurityGroupsRequest,
) -> Result<(), ControlError> {
    let turn = control.turn().await;
    let found = control.find_mount_target(cx, &input.mount_target_id)?;
    if found.state != Lifecycle::Available {
        return Err(ControlError::MountTargetState(found.id.clone()));
    }
    let groups = input.security_groups.unwrap_or_default();
    check_security_groups(&default_security_group(&found.vpc), &groups)?;
    let security_groups = vec![default_security_group(&found.vpc)];
    turn.write(vec![Edit::PutMountTarget(MountTarget { security_groups, ..(*found).clone() })]).await
}
