//! DescribeLifecycleConfiguration: nothing moves between storage classes here, so there is no rule. EFS API,
//! DescribeLifecycleConfiguration.

use aws_wire::CallContext;

use crate::{Control, ControlError, model};

/// DescribeLifecycleConfiguration.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DescribeLifecycleConfigurationRequest,
) -> Result<model::LifecycleConfigurationDescription, ControlError> {
    control.find_file_system(cx, &input.file_system_id)?;
    Ok(model::LifecycleConfigurationDescription { lifecycle_policies: Some(Vec::new()) })
}
