//! ListResourceTags: the tags of a KMS key. KMS API, ListResourceTags.

use aws_wire::CallContext;

use crate::page::{self, Asked};
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// ListResourceTags.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ListResourceTagsRequest,
) -> Result<model::ListResourceTagsResponse, KmsError> {
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow(cx, &key, "ListResourceTags", &EncryptionContext::default())?;
    state_table::check(Action::ListResourceTags, &key)?;
    let asked =
        Asked { list: "ListResourceTags", limit: input.limit, marker: input.marker.as_deref(), default: 50, most: 50 };
    let tags = key
        .tags
        .iter()
        .map(|(name, value)| (name.clone(), model::Tag { tag_key: name.clone(), tag_value: value.clone() }));
    let page = page::cut(&asked, tags)?;
    Ok(model::ListResourceTagsResponse {
        tags: Some(page.items),
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
    })
}
