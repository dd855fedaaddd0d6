//! DescribeTags: the older name of ListTagsForResource, for file systems only. EFS API, DescribeTags.

use aws_wire::CallContext;

use crate::page::{self, PAGE};
use crate::{Control, ControlError, model, tags};

/// DescribeTags.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::DescribeTagsRequest,
) -> Result<model::DescribeTagsResponse, ControlError> {
    let found = control.find_file_system(cx, &input.file_system_id)?;
    let mut all = tags::shown(&found.tags);
    all.sort_by(|one, other| one.key.cmp(&other.key));
    let key = |tag: &model::Tag| tag.key.clone();
    let page = page::cut("DescribeTags", input.max_items, PAGE, input.marker.as_deref(), all.into_iter(), key)?;
    Ok(model::DescribeTagsResponse { marker: input.marker, next_marker: page.next, tags: page.items })
}
