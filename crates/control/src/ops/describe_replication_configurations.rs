//! DescribeReplicationConfigurations: nothing is replicated here. EFS API, DescribeReplicationConfigurations.

use aws_wire::CallContext;

use crate::{Control, ControlError, model};

/// DescribeReplicationConfigurations.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DescribeReplicationConfigurationsRequest,
) -> Result<model::DescribeReplicationConfigurationsResponse, ControlError> {
    match &input.file_system_id {
        Some(id) => Err(ControlError::ReplicationNotFound(control.find_file_system(cx, id)?.id.clone())),
        None => {
            Ok(model::DescribeReplicationConfigurationsResponse { next_token: None, replications: Some(Vec::new()) })
        }
    }
}
