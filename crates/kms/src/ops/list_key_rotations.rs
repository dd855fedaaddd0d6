//! ListKeyRotations: the completed rotations of a KMS key. KMS API, ListKeyRotations.

use aws_wire::CallContext;

use crate::algorithm::check_rotates;
use crate::metadata::timestamp;
use crate::page::{self, Asked};
use crate::record::{Rotated, Version};
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
    let material = kms.read(|state| state.material.get(&key.id).cloned());
    let versions = material.as_ref().map_or(&[][..], |material| &material.versions);
    let last = versions.len().saturating_sub(1);
    let wanted = versions.iter().enumerate().filter(|(_, version)| all || version.rotated.is_some());
    let page = page::cut(
        &asked,
        wanted.map(|(at, version)| (format!("{at:08}"), entry(&arn, version, all.then_some(at == last)))),
    )?;
    Ok(model::ListKeyRotationsResponse {
        rotations: Some(page.items),
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
    })
}

/// `current` says whether it is the version that encrypts, where the request asks for that.
fn entry(arn: &str, version: &Version, current: Option<bool>) -> model::RotationsListEntry {
    model::RotationsListEntry {
        key_id: Some(arn.to_owned()),
        key_material_id: Some(version.id.clone()),
        key_material_state: current.map(|current| {
            if current { model::KeyMaterialState::Current } else { model::KeyMaterialState::NonCurrent }
        }),
        rotation_date: version.rotated.map(|_| timestamp(version.created)),
        rotation_type: version.rotated.map(|rotated| match rotated {
            Rotated::Automatic => model::RotationType::Automatic,
            Rotated::OnDemand => model::RotationType::OnDemand,
        }),
        ..model::RotationsListEntry::default()
    }
}
