//! UpdateAlias: point a name at another KMS key. KMS API, UpdateAlias.

use aws_wire::CallContext;
use policy::Conditions;

use super::create_alias::{check_count, place_of};
use crate::record::{AliasRecord, alias_arn};
use crate::resolve::Spelling;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// UpdateAlias.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::UpdateAliasRequest) -> Result<(), KmsError> {
    let place = place_of(cx, &input.alias_name)?;
    let turn = kms.turn().await;
    let alias = kms.read(|state| state.aliases.get(&place).cloned()).ok_or_else(|| {
        KmsError::NotFound(format!("Alias {} is not found.", alias_arn(&cx.account, &cx.region, &input.alias_name)))
    })?;
    let key = kms.find(cx, &input.target_key_id, Spelling::Key).await?;
    // Two permissions: on the alias, which only the caller's own policies can give, and on the KMS key.
    kms.allow_here(cx, "UpdateAlias", &input.alias_name, Conditions::of_call(cx))?;
    kms.allow(cx, &key, "UpdateAlias", &EncryptionContext::default())?;
    // The key that the alias leaves may be in any state; the one it goes to may not.
    state_table::check(Action::UpdateAlias, &key)?;
    if alias.key != key.id {
        let left = kms.read(|state| state.keys.get(&alias.key).cloned());
        if left.is_some_and(|left| !left.kind.is_like(key.kind)) {
            return Err(KmsError::Validation(format!(
                "Alias {} can only be moved to a KMS key of the same type and key usage as the one it is on.",
                alias.arn()
            )));
        }
        check_count(kms, &key)?;
    }
    let updated = AliasRecord { key: key.id.clone(), updated: kms.now(), ..(*alias).clone() };
    turn.write(vec![Edit::PutAlias(updated)]).await
}
