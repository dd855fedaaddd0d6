//! RetireGrant: end a grant by whoever it was made for. KMS API, RetireGrant.

use aws_wire::{CallContext, CallerKind};

use super::encrypt::dry;
use super::revoke_grant::check_id;
use crate::access::is_grantee;
use crate::record::GrantRecord;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// RetireGrant.
pub async fn run(kms: &Kms, cx: &CallContext, input: model::RetireGrantRequest) -> Result<(), KmsError> {
    let turn = kms.turn().await;
    let (key, id) = match (input.grant_token, input.key_id, input.grant_id) {
        (Some(token), None, None) => {
            let (key, id) = kms.read_grant_token(&token)?;
            (kms.find_id(&cx.account, &cx.region, &key)?, id)
        }
        (None, Some(key_id), Some(id)) => {
            check_id(&id)?;
            (kms.find(cx, &key_id, Spelling::Key).await?, id)
        }
        _ => {
            return Err(KmsError::Validation("Specify either a GrantToken, or a KeyId and a GrantId.".to_owned()));
        }
    };
    let grant = kms
        .read(|state| state.grant(&key.id, &id).cloned())
        .ok_or_else(|| KmsError::NotFound(format!("Grant ID {id} not found")))?;
    if !may_retire(cx, &grant) {
        kms.allow(cx, &key, "RetireGrant", &EncryptionContext::default())?;
    }
    state_table::check(Action::RetireGrant, &key)?;
    dry(input.dry_run)?;
    kms.end_grant(&turn, &key, &id).await
}

/// The root of the issuing account, the retiring principal, and a grantee whose grant says so; anyone else needs the
/// permission. KMS API, RetireGrant.
fn may_retire(cx: &CallContext, grant: &GrantRecord) -> bool {
    let by_account = cx.caller.kind == CallerKind::Root && cx.account == grant.issuing_account;
    let by_retiring = grant.retiring.as_ref().is_some_and(|retiring| is_grantee(&cx.caller, retiring));
    let by_grantee =
        is_grantee(&cx.caller, &grant.grantee) && grant.operations.iter().any(|name| name == "RetireGrant");
    by_account || by_retiring || by_grantee
}
