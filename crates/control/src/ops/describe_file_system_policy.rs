//! DescribeFileSystemPolicy: none can be set yet, so the default is in force. EFS API, DescribeFileSystemPolicy.

use aws_wire::CallContext;

use crate::{Control, ControlError, model};

/// DescribeFileSystemPolicy.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DescribeFileSystemPolicyRequest,
) -> Result<model::FileSystemPolicyDescription, ControlError> {
    let found = control.find_file_system(cx, &input.file_system_id)?;
    Err(ControlError::PolicyNotFound(found.id.clone()))
}
