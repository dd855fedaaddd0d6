//! UpdateKeyDescription. KMS API, UpdateKeyDescription.

use aws_wire::CallContext;

use crate::record::KeyRecord;
use crate::resolve::Spelling;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// UpdateKeyDescription.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::UpdateKeyDescriptionRequest) -> Result<(), KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow(cx, &key, "UpdateKeyDescription", &EncryptionContext::default())?;
    state_table::check(Action::UpdateKeyDescription, &key)?;
    turn.write(vec![Edit::PutKey(KeyRecord { description: input.description, ..(*key).clone() })]).await
}
