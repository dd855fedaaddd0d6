//! ListTagsForResource: the tags of a file system or access point. EFS API, ListTagsForResource.

use aws_wire::CallContext;

use crate::page::{self, PAGE};
use crate::{Control, ControlError, model, tags};

/// ListTagsForResource.
pub async fn run(
    control: &Control,
    cx: &CallContext,
    input: model::ListTagsForResourceRequest,
) -> Result<model::ListTagsForResourceResponse, ControlError> {
    let found = control.find_tagged(cx, &input.resource_id)?;
    let mut all = tags::shown(found.tags());
    all.sort_by(|one, other| one.key.cmp(&other.key));
    let key = |tag: &model::Tag| tag.key.clone();
    let (limit, token) = (input.max_results, input.next_token.as_deref());
    let page = page::cut("ListTagsForResource", limit, PAGE, token, all.into_iter(), key)?;
    Ok(model::ListTagsForResourceResponse { next_token: page.next, tags: Some(page.items) })
}
