//! CreateAlias: a name for a KMS key. KMS API, CreateAlias.

use aws_wire::CallContext;
use policy::Conditions;

use crate::record::{AliasRecord, KeyRecord, alias_arn};
use crate::resolve::Spelling;
use crate::state::{AliasPlace, Edit};
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// KMS developer guide, "Resource quotas": aliases of one KMS key.
const ALIASES_MAX: usize = 50;

/// CreateAlias.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::CreateAliasRequest) -> Result<(), KmsError> {
    let place = place_of(cx, &input.alias_name)?;
    let turn = kms.turn().await;
    let key = kms.find(cx, &input.target_key_id, Spelling::Key).await?;
    // Two permissions: on the alias, which only the caller's own policies can give, and on the KMS key.
    kms.allow_here(cx, "CreateAlias", &input.alias_name, Conditions::of_call(cx))?;
    kms.allow(cx, &key, "CreateAlias", &EncryptionContext::default())?;
    if kms.read(|state| state.aliases.contains_key(&place)) {
        let arn = alias_arn(&cx.account, &cx.region, &input.alias_name);
        return Err(KmsError::AlreadyExists(format!("An alias with the name {arn} already exists")));
    }
    state_table::check(Action::CreateAlias, &key)?;
    check_count(kms, &key)?;
    let now = kms.now();
    let alias = AliasRecord {
        account: cx.account.clone(),
        region: cx.region.clone(),
        name: input.alias_name,
        key: key.id.clone(),
        created: now,
        updated: now,
    };
    turn.write(vec![Edit::PutAlias(alias)]).await
}

/// Where the alias of that name is, if the name is one that callers may make or change.
pub(crate) fn place_of(cx: &CallContext, name: &str) -> Result<AliasPlace, KmsError> {
    let Some(rest) = name.strip_prefix("alias/") else {
        return Err(KmsError::Validation("Invalid identifier".to_owned()));
    };
    if rest.starts_with("aws/") {
        return Err(KmsError::ReservedAlias);
    }
    if rest.is_empty() || name.contains(':') {
        return Err(KmsError::Validation(format!("{name} contains invalid characters for an alias")));
    }
    Ok((cx.account.clone(), cx.region.clone(), name.to_owned()))
}

pub(crate) fn check_count(kms: &Kms, key: &KeyRecord) -> Result<(), KmsError> {
    if kms.read(|state| state.aliases_of(&key.id).count()) >= ALIASES_MAX {
        return Err(KmsError::LimitExceeded(format!("The KMS key has {ALIASES_MAX} aliases.")));
    }
    Ok(())
}
