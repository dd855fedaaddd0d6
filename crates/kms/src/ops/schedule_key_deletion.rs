//! ScheduleKeyDeletion: start the waiting period after which a KMS key is gone. KMS API, ScheduleKeyDeletion.

use aws_wire::CallContext;
use policy::Conditions;

use super::enable_key::change_state_with;
use crate::managed::DAY_SECONDS;
use crate::metadata::{state_name, timestamp};
use crate::record::{KeyRecord, KeyState};
use crate::state_table::Action;
use crate::{Kms, KmsError, model};

/// KMS API, PendingWindowInDays: least, most, and what a request without it means. The model's shape says 1 to 365.
const WINDOW_DAYS: (i32, i32) = (7, 30);
const WINDOW_DAYS_DEFAULT: i32 = 30;

/// ScheduleKeyDeletion.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ScheduleKeyDeletionRequest,
) -> Result<model::ScheduleKeyDeletionResponse, KmsError> {
    let days = input.pending_window_in_days.unwrap_or(WINDOW_DAYS_DEFAULT);
    let (least, most) = WINDOW_DAYS;
    if !(least..=most).contains(&days) {
        let (word, bound) = if days < least { ("greater", least) } else { ("less", most) };
        return Err(KmsError::Validation(format!(
            "1 validation error detected: Value '{days}' at 'pendingWindowInDays' failed to satisfy constraint: Member \
             must have value {word} than or equal to {bound}"
        )));
    }
    let deletion = kms.now() + i64::from(days) * DAY_SECONDS;
    let to = |_: &KeyRecord| KeyState::PendingDeletion { deletion };
    let action = (Action::ScheduleKeyDeletion, "ScheduleKeyDeletion");
    let facts = Conditions::of_call(cx).with("kms:ScheduleKeyDeletionPendingWindowInDays", days.to_string());
    let key = change_state_with(kms, cx, &input.key_id, action, facts, to).await?;
    Ok(model::ScheduleKeyDeletionResponse {
        deletion_date: Some(timestamp(deletion)),
        key_id: Some(key.arn()),
        key_state: Some(state_name(key.state)),
        pending_window_in_days: Some(days),
    })
}
