//! DeleteAccessPoint: no new clients through it; those connected stay until they go. EFS API, DeleteAccessPoint.

use aws_wire::CallContext;

use crate::state::Edit;
use crate::{Control, ControlError, model};

/// DeleteAccessPoint.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DeleteAccessPointRequest,
) -> Result<(), ControlError> {
    let turn = control.turn().await;
    let found = control.find_access_point(cx, &input.access_point_id)?;
    turn.write(vec![Edit::DeleteAccessPoint(found.id.clone())]).await
}
