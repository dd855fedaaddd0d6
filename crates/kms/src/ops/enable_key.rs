//! EnableKey: make a disabled KMS key usable again. KMS API, EnableKey.

use aws_wire::CallContext;
use policy::Conditions;

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
    change_state_with(kms, cx, key_id, (action, name), Conditions::of_call(cx), to).await
}

/// The same where conditions may ask for more than every call has.
pub(crate) async fn change_state_with(
    kms: &Kms,
    cx: &CallContext,
    key_id: &str,
    (action, name): (Action, &str),
    facts: Conditions,
    to: impl FnOnce(&KeyRecord) -> KeyState,
) -> Result<KeyRecord, KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, key_id, Spelling::Key).await?;
    kms.allow_with(cx, &key, name, &EncryptionContext::default(), facts)?;
    state_table::check(action, &key)?;
    let changed = KeyRecord { state: to(&key), ..(*key).clone() };
    if changed != *key {
        turn.write_and_tell(vec![Edit::PutKey(changed.clone())], &changed, KeyChange::State).await?;
    }
    Ok(changed)
}
