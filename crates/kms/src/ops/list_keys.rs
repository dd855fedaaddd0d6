//! ListKeys: all KMS keys of the account and region. KMS API, ListKeys.

use aws_wire::CallContext;
use policy::Conditions;

use crate::page::{self, Asked};
use crate::{Kms, KmsError, model};

/// ListKeys.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ListKeysRequest,
) -> Result<model::ListKeysResponse, KmsError> {
    kms.allow_here(cx, "ListKeys", "*", Conditions::of_call(cx))?;
    let asked =
        Asked { list: "ListKeys", limit: input.limit, marker: input.marker.as_deref(), default: 100, most: 1000 };
    let page = kms.read(|state| {
        let here = state.keys.values().filter(|key| key.account == cx.account && key.region == cx.region);
        page::cut(
            &asked,
            here.map(|key| {
                let entry = model::KeyListEntry { key_arn: Some(key.arn()), key_id: Some(key.id.clone()) };
                (key.id.clone(), entry)
            }),
        )
    })?;
    Ok(model::ListKeysResponse { keys: Some(page.items), truncated: Some(page.next.is_some()), next_marker: page.next })
}
