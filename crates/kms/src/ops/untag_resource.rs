//! UntagResource: take tags off a KMS key; one that is not there is no error. KMS API, UntagResource.

use aws_wire::CallContext;
use policy::Conditions;

use crate::resolve::Spelling;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, access, model, tags};

/// UntagResource.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::UntagResourceRequest) -> Result<(), KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    let facts = access::with_tags(Conditions::of_call(cx), input.tag_keys.iter().map(|name| (name, None)));
    kms.allow_with(cx, &key, "UntagResource", &EncryptionContext::default(), facts)?;
    state_table::check(Action::UntagResource, &key)?;
    let mut changed = (*key).clone();
    for name in &input.tag_keys {
        tags::check_key(name)?;
        changed.tags.remove(name);
    }
    turn.write(vec![Edit::PutKey(changed)]).await
}
