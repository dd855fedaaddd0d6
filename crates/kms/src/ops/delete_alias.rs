//! DeleteAlias: take a name away; its KMS key stays. KMS API, DeleteAlias.

use aws_wire::CallContext;
use policy::Conditions;

use super::create_alias::place_of;
use crate::record::alias_arn;
use crate::state::Edit;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// DeleteAlias.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::DeleteAliasRequest) -> Result<(), KmsError> {
    let place = place_of(cx, &input.alias_name)?;
    let turn = kms.turn().await;
    let key = kms.find_alias(&cx.account, &cx.region, &input.alias_name).ok_or_else(|| {
        KmsError::NotFound(format!("Alias {} is not found.", alias_arn(&cx.account, &cx.region, &input.alias_name)))
    })?;
    // Two permissions: on the alias, which only the caller's own policies can give, and on the KMS key.
    kms.allow_here(cx, "DeleteAlias", &input.alias_name, Conditions::of_call(cx))?;
    kms.allow(cx, &key, "DeleteAlias", &EncryptionContext::default())?;
    state_table::check(Action::DeleteAlias, &key)?;
    turn.write(vec![Edit::DeleteAlias(place)]).await
}
