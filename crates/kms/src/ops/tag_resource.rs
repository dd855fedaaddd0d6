//! TagResource: add or overwrite tags of a KMS key. KMS API, TagResource.

use aws_wire::CallContext;
use policy::Conditions;

use crate::resolve::Spelling;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, access, model, tags};

/// TagResource.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::TagResourceRequest) -> Result<(), KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    let brought = input.tags.iter().map(|tag| (&tag.tag_key, Some(&tag.tag_value)));
    let facts = access::with_tags(Conditions::of_call(cx), brought);
    kms.allow_with(cx, &key, "TagResource", &EncryptionContext::default(), facts)?;
    state_table::check(Action::TagResource, &key)?;
    let mut changed = (*key).clone();
    tags::add(&mut changed.tags, input.tags)?;
    turn.write(vec![Edit::PutKey(changed)]).await
}
