//! EnableKey: make a disabled KMS key usable again. KMS API, EnableKey.

use aws_wire::CallContext;

use crate::record::{KeyRecord, KeyState};
use crate::resolve::Spelling;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, KeyChange, Kms, KmsError, model};

/// EnableKey.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::EnableKeyRequest) -> Result<(), KmsError> {
    let to = |_: &KeyRecord| KeyState::Enabled;
    change_state(kms, cx, &input.key_id, (Action::EnableKey, "EnableKey"), to).await.map(|_| ())
}

/// Moves a KMS key to another state: checked by the table, durable, then told to whoever holds a lease on it.
pub(crate) async fn change_state(
    kms: &Kms,
    cx: &CallContext,
    key_id: &str,
    (action, name): (Action, &str),
    to: impl FnOnce(&KeyRecord) -> KeyState,
) -> Result<KeyRecord, KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, key_id, Spelling::Key).await?;
    kms.allow(cx, &key, name, &EncryptionContext::default())?;
    state_table::check(action, &key)?;
    let changed = KeyRecord { state: to(&key), ..(*key).clone() };
    if changed != *key {
        turn.write_and_tell(vec![Edit::PutKey(changed.clone())], &changed, KeyChange::State).await?;
    }
    Ok(changed)
}
