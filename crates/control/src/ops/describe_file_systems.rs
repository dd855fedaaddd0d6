//! DescribeFileSystems: all of them, or one by id or creation token. EFS API, DescribeFileSystems.

use aws_wire::CallContext;

use crate::page::{self, PAGE};
use crate::{Control, ControlError, describe, model};

/// DescribeFileSystems.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DescribeFileSystemsRequest,
) -> Result<model::DescribeFileSystemsResponse, ControlError> {
    let found = match (&input.file_system_id, &input.creation_token) {
        (Some(_), Some(_)) => {
            return Err(ControlError::BadRequest(
                "Either FileSystemId or CreationToken can be given, not both.".to_owned(),
            ));
        }
        (Some(id), None) => vec![control.find_file_system(cx, id)?],
        (None, token) => control.read(|state| {
            let all = state.file_systems_of(&cx.account, &cx.region);
            all.filter(|found| token.as_ref().is_none_or(|token| *token == found.creation_token)).cloned().collect()
        }),
    };
    let marker = input.marker.as_deref();
    let key = |found: &std::sync::Arc<crate::FileSystem>| found.id.clone();
    let page = page::cut("DescribeFileSystems", input.max_items, PAGE, marker, found.into_iter(), key)?;
    let mut file_systems = Vec::with_capacity(page.items.len());
    for found in &page.items {
        file_systems.push(describe::file_system(control, found).await);
    }
    Ok(model::DescribeFileSystemsResponse {
        file_systems: Some(file_systems),
        marker: input.marker,
        next_marker: page.next,
    })
}
