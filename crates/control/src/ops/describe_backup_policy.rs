//! DescribeBackupPolicy: there are no automatic backups here. EFS API, DescribeBackupPolicy.

use aws_wire::CallContext;

use crate::{Control, ControlError, model};

/// DescribeBackupPolicy.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DescribeBackupPolicyRequest,
) -> Result<model::BackupPolicyDescription, ControlError> {
    control.find_file_system(cx, &input.file_system_id)?;
    Ok(model::BackupPolicyDescription { backup_policy: Some(model::BackupPolicy { status: model::Status::Disabled }) })
}
