//! DescribeAccessPoints: all, of one file system, or one by id. EFS API, DescribeAccessPoints.

use std::sync::Arc;

use aws_wire::CallContext;

use crate::page::{self, PAGE_ACCESS_POINTS};
use crate::{AccessPoint, Control, ControlError, describe, model};

/// DescribeAccessPoints.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DescribeAccessPointsRequest,
) -> Result<model::DescribeAccessPointsResponse, ControlError> {
    let found: Vec<Arc<AccessPoint>> = match (&input.access_point_id, &input.file_system_id) {
        (Some(_), Some(_)) => {
            return Err(ControlError::BadRequest(
                "Either AccessPointId or FileSystemId can be given, not both.".to_owned(),
            ));
        }
        (Some(id), None) => vec![control.find_access_point(cx, id)?],
        (None, Some(id)) => {
            let file_system = control.find_file_system(cx, id)?;
            control.read(|state| state.access_points_of(&file_system.id).cloned().collect())
        }
        (None, None) => control.read(|state| {
            let all = state.access_points.values();
            all.filter(|point| point.account == cx.account && point.region == cx.region).cloned().collect()
        }),
    };
    let key = |found: &Arc<AccessPoint>| found.id.clone();
    let (limit, token) = (input.max_results, input.next_token.as_deref());
    let page = page::cut("DescribeAccessPoints", limit, PAGE_ACCESS_POINTS, token, found.into_iter(), key)?;
    Ok(model::DescribeAccessPointsResponse {
        access_points: Some(page.items.iter().map(|found| describe::access_point(found)).collect()),
        next_token: page.next,
    })
}
