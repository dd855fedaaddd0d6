//! ListAliases: the names in the account and region, or of one KMS key. KMS API, ListAliases.

use aws_wire::CallContext;
use policy::Conditions;

use crate::managed::SERVICES;
use crate::metadata::timestamp;
use crate::page::{self, Asked};
use crate::record::alias_arn;
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{Kms, KmsError, model};

/// ListAliases.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ListAliasesRequest,
) -> Result<model::ListAliasesResponse, KmsError> {
    // Its aliases are no property of a KMS key: the caller's own policies decide. KMS developer guide, "ListAliases".
    kms.allow_here(cx, "ListAliases", "*", Conditions::of_call(cx))?;
    let only = match &input.key_id {
        Some(key_id) => {
            let key = kms.find(cx, key_id, Spelling::Key).await?;
            state_table::check(Action::ListAliases, &key)?;
            Some(key.id.clone())
        }
        None => None,
    };
    let mut entries: Vec<(String, model::AliasListEntry)> = kms.read(|state| {
        let here = state.aliases.values().filter(|alias| alias.account == cx.account && alias.region == cx.region);
        let wanted = here.filter(|alias| only.as_ref().is_none_or(|only| *only == alias.key));
        wanted
            .map(|alias| {
                let entry = model::AliasListEntry {
                    alias_arn: Some(alias.arn()),
                    alias_name: Some(alias.name.clone()),
                    creation_date: Some(timestamp(alias.created)),
                    last_updated_date: Some(timestamp(alias.updated)),
                    target_key_id: Some(alias.key.clone()),
                };
                (alias.name.clone(), entry)
            })
            .collect()
    });
    if only.is_none() {
        add_unused_service_aliases(cx, &mut entries);
    }
    let asked =
        Asked { list: "ListAliases", limit: input.limit, marker: input.marker.as_deref(), default: 50, most: 100 };
    let page = page::cut(&asked, entries.into_iter())?;
    Ok(model::ListAliasesResponse {
        aliases: Some(page.items),
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
    })
}

/// A service's alias exists before its key does; it has no target then.
fn add_unused_service_aliases(cx: &CallContext, entries: &mut Vec<(String, model::AliasListEntry)>) {
    for service in SERVICES {
        if !entries.iter().any(|(name, _)| name == service.alias) {
            let entry = model::AliasListEntry {
                alias_arn: Some(alias_arn(&cx.account, &cx.region, service.alias)),
                alias_name: Some(service.alias.to_owned()),
                ..model::AliasListEntry::default()
            };
            entries.push((service.alias.to_owned(), entry));
        }
    }
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
}
