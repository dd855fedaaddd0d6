//! EnableKeyRotation: a KMS key gets a new version at each end of a period. KMS API, EnableKeyRotation.

use aws_wire::CallContext;
use policy::Conditions;

use crate::algorithm::check_rotates_by_itself;
use crate::managed::DAY_SECONDS;
use crate::record::{KeyRecord, Rotation};
use crate::resolve::Spelling;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// KMS API, RotationPeriodInDays: what a request without it means. The model keeps it within 90 and 2,560.
const PERIOD_DAYS_DEFAULT: u16 = 365;

/// EnableKeyRotation.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::EnableKeyRotationRequest) -> Result<(), KmsError> {
    let period_days = match input.rotation_period_in_days.map(u16::try_from) {
        None => PERIOD_DAYS_DEFAULT,
        Some(Ok(days)) => days,
        Some(Err(_)) => return Err(KmsError::Validation("RotationPeriodInDays is out of its range.".to_owned())),
    };
    let facts = Conditions::of_call(cx).with("kms:RotationPeriodInDays", period_days.to_string());
    let next = kms.now() + i64::from(period_days) * DAY_SECONDS;
    change(kms, cx, &input.key_id, (Action::EnableKeyRotation, "EnableKeyRotation"), facts, |now| {
        // One that goes on with the same period keeps its date.
        if now.enabled && now.period_days == period_days { now } else { Rotation { enabled: true, period_days, next } }
    })
    .await
}

/// Changes the rotation of a KMS key. Its versions stay as they are.
pub(crate) async fn change(
    kms: &Kms,
    cx: &CallContext,
    key_id: &str,
    (action, name): (Action, &str),
    facts: Conditions,
    to: impl FnOnce(Rotation) -> Rotation,
) -> Result<(), KmsError> {
    let turn = kms.turn().await;
    let key = kms.find(cx, key_id, Spelling::Key).await?;
    kms.allow_with(cx, &key, name, &EncryptionContext::default(), facts)?;
    check_rotates_by_itself(&key)?;
    state_table::check(action, &key)?;
    let rotation = to(key.rotation);
    if rotation != key.rotation {
        turn.write(vec![Edit::PutKey(KeyRecord { rotation, ..(*key).clone() })]).await?;
        // A date may have come nearer.
        kms.wake().notify_one();
    }
    Ok(())
}
