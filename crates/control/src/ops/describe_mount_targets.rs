//! DescribeMountTargets: of a file system, of an access point's file system, or one by id. EFS API,
//! DescribeMountTargets.

use std::sync::Arc;

use aws_wire::CallContext;

use crate::page::{self, PAGE};
use crate::{Control, ControlError, MountTarget, describe, model};

/// DescribeMountTargets.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DescribeMountTargetsRequest,
) -> Result<model::DescribeMountTargetsResponse, ControlError> {
    let of = |file_system: &str| -> Vec<Arc<MountTarget>> {
        control.read(|state| state.mount_targets_of(file_system).cloned().collect())
    };
    let found = match (&input.file_system_id, &input.mount_target_id, &input.access_point_id) {
        (Some(id), None, None) => of(&control.find_file_system(cx, id)?.id),
        (None, Some(id), None) => vec![control.find_mount_target(cx, id)?],
        (None, None, Some(id)) => of(&control.find_access_point(cx, id)?.file_system),
        _ => {
            return Err(ControlError::BadRequest(
                "Exactly one of FileSystemId, MountTargetId and AccessPointId must be given.".to_owned(),
            ));
        }
    };
    let key = |found: &Arc<MountTarget>| found.id.clone();
    let marker = input.marker.as_deref();
    let page = page::cut("DescribeMountTargets", input.max_items, PAGE, marker, found.into_iter(), key)?;
    Ok(model::DescribeMountTargetsResponse {
        marker: input.marker,
        mount_targets: Some(page.items.iter().map(|found| describe::mount_target(found)).collect()),
        next_marker: page.next,
    })
}
