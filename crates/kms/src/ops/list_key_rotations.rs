//! ListKeyRotations: the completed rotations of a KMS key. KMS API, ListKeyRotations.

use std::cmp::Ordering;

use aws_wire::CallContext;

use crate::algorithm::check_rotates;
use crate::imported::model_of;
use crate::metadata::timestamp;
use crate::page::{self, Asked};
use crate::record::{Rotated, Seconds, Version};
use crate::resolve::Spelling;
use crate::state_table::{self, Action};
use crate::{EncryptionContext, Kms, KmsError, model};

/// ListKeyRotations.
pub async fn run(
    kms: &Kms,
    cx: &CallContext,
    input: model::ListKeyRotationsRequest,
) -> Result<model::ListKeyRotationsResponse, KmsError> {
    let key = kms.find(cx, &input.key_id, Spelling::Key).await?;
    kms.allow(cx, &key, "ListKeyRotations", &EncryptionContext::default())?;
    check_rotates(&key)?;
    state_table::check(Action::ListKeyRotations, &key)?;
    let all = input.include_key_material == Some(model::IncludeKeyMaterial::AllKeyMaterial);
    let asked = Asked {
        list: "ListKeyRotations",
        limit: input.limit,
        marker: input.marker.as_deref(),
        default: 100,
        most: 1000,
    };
    let arn = key.arn();
    let material = kms.material_of(&key)?;
    let last = material.versions.len().saturating_sub(1);
    let state = |at: usize| match at.cmp(&last) {
        Ordering::Less => model::KeyMaterialState::NonCurrent,
        Ordering::Equal if !material.versions.is_empty() => model::KeyMaterialState::Current,
        Ordering::Equal | Ordering::Greater => model::KeyMaterialState::PendingRotation,
    };
    let now = kms.now();
    let wanted = material.all().enumerate().filter(|(_, version)| all || version.rotated.is_some());
    let page = page::cut(
        &asked,
        wanted.map(|(at, version)| (format!("{at:08}"), entry(&arn, version, all.then(|| state(at)), now))),
    )?;
    Ok(model::ListKeyRotationsResponse {
        rotations: Some(page.items),
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
    })
}

/// `state` says what the version is for, where the request asks for that.
fn entry(
    arn: &str,
    version: &Version,
    state: Option<model::KeyMaterialState>,
    now: Seconds,
) -> model::RotationsListEntry {
    let imported = version.imported.as_ref();
    let there = version.is_there(now);
    let valid_to = imported.and_then(|imported| imported.valid_to).filter(|_| there);
    model::RotationsListEntry {
        expiration_model: imported.filter(|_| there).map(|_| model_of(valid_to)),
        import_state: imported
            .map(|_| if there { model::ImportState::Imported } else { model::ImportState::PendingImport }),
        key_material_description: imported.and_then(|imported| imported.description.clone()),
        valid_to: valid_to.map(timestamp),
        key_id: Some(arn.to_owned()),
        key_material_id: Some(version.id.clone()),
        key_material_state: state,
        rotation_date: version.rotated.map(|_| timestamp(version.created)),
        rotation_type: version.rotated.map(|rotated| match rotated {
            Rotated::Automatic => model::RotationType::Automatic,
            Rotated::OnDemand => model::RotationType::OnDemand,
        }),
    }
}
