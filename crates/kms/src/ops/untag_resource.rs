//! UntagResource: take tags off a KMS key; one that is not there is no error. KMS API, UntagResource.

use aws_wire::CallContext;

use crate::resolve::Spelling;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model, tags};

/// UntagResource.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::UntagResourceRequest) -> Result<(), KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow(cx, &key, "UntagResource", &EncryptionContext::default())?;
    state_table::check(Action::UntagResource, &key)?;
    let mut changed = (*key).clone();
    for name in &input.tag_keys {
        tags::check_key(name)?;
        changed.tags.remove(name);
    }
    turn.write(vec![Edit::PutKey(changed)]).await
}
