//! DescribeAccountPreferences: ids are long, and that cannot be changed. EFS API, DescribeAccountPreferences.

use aws_wire::CallContext;

use crate::{Control, ControlError, model};

/// DescribeAccountPreferences.
pub async fn run(
    _control: &Control,
    _cx: &CallContext,
    _input: model::DescribeAccountPreferencesRequest,
) -> Result<model::DescribeAccountPreferencesResponse, ControlError> {
    Ok(model::DescribeAccountPreferencesResponse {
        next_token: None,
        resource_id_preference: Some(model::ResourceIdPreference {
            resource_id_type: Some(model::ResourceIdType::LongId),
            resources: Some(vec![model::Resource::FileSystem, model::Resource::MountTarget]),
        }),
    })
}
